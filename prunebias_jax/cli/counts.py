"""How the command line counts: 1 member, 2 members."""


def counted(count: int, noun: str, plural: str = "") -> str:
  """A number and what there are so many of; `plural` by default with an s."""
  return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
