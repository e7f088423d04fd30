"""What post-training quantization is asked for."""

from collections.abc import Mapping
import dataclasses
from typing import Any, Self

from prunebias_jax.errors import InputError, choose

KINDS = ("float16", "int8_dynamic", "int8_static")
GRANULARITIES = ("channel", "tensor")
CALIBRATION = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
  """A way to quantize.

  Attributes:
    kind: "float16", "int8_dynamic" or "int8_static".
    granularity: whether each output channel of a kernel has a scale of its
      own, or the whole kernel has one; None for float16, which has no scales.
    calibration: number of training images that fix the ranges of activations;
      None for kinds that have no fixed ranges.
  """

  kind: str
  granularity: str | None = None
  calibration: int | None = None

  @classmethod
  def make(
    cls,
    kind: str,
    granularity: str | None = None,
    calibration: int | None = None,
  ) -> Self:
    """The scheme with what is not given by default: channel, 512 images.

    Raises:
      InputError: an unknown kind or granularity, or a setting that the kind
        does not take.
    """
    choose(kind, KINDS, "kind")
    if kind == "float16" and granularity is not None:
      raise InputError(
        f"granularity is {granularity!r}, but float16 has no scales; accepted: "
        "none"
      )
    if kind != "int8_static" and calibration is not None:
      raise InputError(
        f"calibration is {calibration}, but {kind} has no fixed ranges; "
        "accepted: none, or kind int8_static"
      )
    if kind != "float16":
      granularity = granularity or "channel"
      choose(granularity, GRANULARITIES, "granularity")
    if kind == "int8_static":
      calibration = CALIBRATION if calibration is None else calibration
      if calibration < 1:
        raise InputError(f"calibration is {calibration}; accepted: 1 and up")
    return cls(kind=kind, granularity=granularity, calibration=calibration)

  @classmethod
  def from_facts(cls, facts: Mapping[str, Any]) -> Self:
    """The scheme that a run recorded."""
    fields = (field.name for field in dataclasses.fields(cls))
    return cls(**{name: facts[name] for name in fields})

  def __str__(self) -> str:
    """As a reader names it: "int8_static (channel, 512 images)"."""
    parts = [self.granularity] if self.granularity else []
    if self.calibration is not None:
      parts.append(f"{self.calibration} images")
    return f"{self.kind} ({', '.join(parts)})" if parts else self.kind
