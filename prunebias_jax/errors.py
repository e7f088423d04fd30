"""The one kind of error that is the user's to mend, not a bug."""


class InputError(ValueError):
  """Bad input: a config, a file or a request that cannot be used.

  The message is one line: what was wrong, the value, what is accepted. The
  command line prints it without a traceback and exits with status 2.
  """


def choose(value: str, accepted: object, what: str) -> None:
  """Raises InputError unless `value` is one of the names in `accepted`."""
  names = sorted(accepted)  # type: ignore[call-overload]
  if value not in names:
    raise InputError(f"unknown {what} {value!r}; accepted: {', '.join(names)}")
