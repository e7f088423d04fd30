"""What a reviewer can say, and the record of it: one line of the verdict log.

The categories are this project's; auditing the examples that compression
changes is the use that Hooker et al. 2020, "Characterising Bias in Compressed
Models", propose for them.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any, Self

from prunebias_jax.errors import InputError

# Key in the log -> what the page says; in the order of the number keys.
VERDICTS = {
  "wrong_label": "Wrong label",
  "ambiguous_label": "Ambiguous label",
  "several_objects": "Several objects or people",
  "low_quality": "Low quality",
  "atypical": "Atypical",
  "under_represented": "Under-represented group",
  "nothing_unusual": "Nothing unusual",
}
# verdict: one of `VERDICTS`. skip: later. undo: takes one of the reviewer's
# verdicts or skips back. seen: was shown what the models say of the case.
KINDS = ("verdict", "skip", "undo", "seen")
# Which part of the queue a case is from: an exemplar, a control drawn among the
# others, the rest of the ranking, or no part of it.
ARMS = ("exemplar", "control", "rest", "none")
LONGEST_NOTE = 4_000
LONGEST_NAME = 100
LONGEST_KEY = 64

Case = tuple[str, str]  # example id, attribute


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
  """One thing that one reviewer did.

  Attributes:
    serial: its number in the log, from 1.
    kind: one of `KINDS`.
    key: chosen by whoever asked, so that asking again changes nothing.
    time: UTC, ISO 8601.
    reviewer: the name given.
    example_id: the example.
    attribute: the attribute; "(all)" where classes are exclusive.
    verdict: one of `VERDICTS`, "" of other kinds.
    note: free text.
    seconds: how long the case was looked at; NaN where not known.
    blind: the reviewer had not been shown what the models say of the case.
    arm: one of `ARMS`.
    pruner, sparsity, quantization: whose exemplars the queue held; "" and NaN
      outside a queue.
    rank: in the ranking; 0 where it has none.
    label: the label that was judged, "" where it is missing.
    undoes: the serial that an undo takes back, else 0.

  Raises:
    InputError: a value that is not accepted.
  """

  serial: int
  kind: str
  key: str
  time: str
  reviewer: str
  example_id: str
  attribute: str
  verdict: str = ""
  note: str = ""
  seconds: float = math.nan
  blind: bool = False
  arm: str = "none"
  pruner: str = ""
  sparsity: float = math.nan
  quantization: str = ""
  rank: int = 0
  label: str = ""
  undoes: int = 0

  def __post_init__(self) -> None:
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      accepted = (float, int) if field.type is float else (field.type,)
      if type(value) not in accepted:
        raise InputError(f"verdict: {field.name} is {_short(value)}")
      if isinstance(value, str) and not _is_text(value):
        raise InputError(f"verdict: {field.name} is no Unicode text")
    if self.kind not in KINDS:
      raise InputError(
        f"verdict: kind is {_short(self.kind)}; accepted: {', '.join(KINDS)}"
      )
    if (self.kind == "verdict") != (self.verdict in VERDICTS):
      raise InputError(
        f"verdict is {_short(self.verdict)}; accepted: {', '.join(VERDICTS)}"
      )
    if self.arm not in ARMS:
      raise InputError(
        f"verdict: arm is {_short(self.arm)}; accepted: {', '.join(ARMS)}"
      )
    check_reviewer(self.reviewer)
    if not 0 < len(self.key) <= LONGEST_KEY:
      raise InputError(
        f"verdict: key of {len(self.key)} characters; accepted: 1 to "
        f"{LONGEST_KEY}"
      )
    if len(self.note) > LONGEST_NOTE:
      raise InputError(
        f"the note has {len(self.note):,} characters; accepted: up to "
        f"{LONGEST_NOTE:,}"
      )

  @property
  def case(self) -> Case:
    """What was judged."""
    return self.example_id, self.attribute

  def to_dict(self) -> dict[str, Any]:
    """The record as JSON values; what is not known is None."""
    return {
      name: None if isinstance(value, float) and math.isnan(value) else value
      for name, value in dataclasses.asdict(self).items()
    }

  @classmethod
  def from_dict(cls, values: Mapping[str, Any]) -> Self:
    """The record of JSON values; names of later versions are refused."""
    known = {field.name for field in dataclasses.fields(cls)}
    strange = [*values.keys() - known]
    if strange:
      raise InputError(f"unknown field {_short(min(strange))}")
    given: dict[str, Any] = {
      name: math.nan if value is None else value
      for name, value in values.items()
    }
    try:
      return cls(**given)
    except TypeError as error:
      raise InputError(f"verdict: {error}") from None


def check_reviewer(name: str) -> None:
  """Refuses a reviewer's name that is empty, too long or not printable."""
  if not (0 < len(name) <= LONGEST_NAME and name.isprintable()) or (
    name != name.strip()
  ):
    raise InputError(
      f"reviewer is {_short(name)}; accepted: 1 to {LONGEST_NAME} printable "
      "characters, no space at the ends"
    )


def _is_text(value: str) -> bool:
  """Whether there is no half of a surrogate pair in it."""
  return not any("\ud800" <= one <= "\udfff" for one in value)


def _short(value: object) -> str:
  """A value as a message has it."""
  text = repr(value)
  return text if len(text) <= 60 else f"{text[:57]}..."
