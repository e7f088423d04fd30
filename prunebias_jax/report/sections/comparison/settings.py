"""What two runs were made with: where they differ, and whether seeds pair."""

from collections.abc import Iterator, Mapping
from typing import Any

from prunebias_jax import settings
from prunebias_jax.report.page import Row
from prunebias_jax.report.sections.methods import facts
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import listed

# What differs between any two runs and tells nothing.
_UNTOLD = (
  "Begun",
  "Measured to choose it",
  "Time, all members",
  "Time per member",
)
# What leaves a seed's initial parameters and its order of examples alone.
_PARTS = ("loss.", "pruning.", "execution.")
_PHASES = ("train.", "dense.", "finetune.")
_OF_A_PHASE = (
  "optimizer",
  "learning_rate",
  "momentum",
  "nesterov",
  "reset_momentum",
  "weight_decay",
  "schedule",
  "drops",
  "drop_factor",
  "warmup",
  "label_smoothing",
)
_ANY = ("name", "sparsities")
# Another version may draw other random numbers from a seed.
_RANDOM = ("jax", "flax")
_SHOWN = 6


def differing(
  first: Source, second: Source
) -> tuple[tuple[str, tuple[Row, ...]], ...]:
  """The settings, facts and versions that differ, in bands."""
  bands = []
  for title, rows in (
    ("Config", facts.config_rows),
    ("Facts", facts.facts_rows),
    ("Versions of the training", facts.version_rows),
  ):
    found = tuple(_rows(dict(rows(first)), dict(rows(second))))
    if found:
      bands.append((title, found))
  return tuple(bands)


def pairing(
  first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[bool, str]:
  """Whether members of equal seed pair across two runs, and why.

  Args:
    first: the facts of a run.
    second: those of the other.

  Returns:
    Whether such members began with the same parameters and saw the examples
    in the same order, and the sentence that says so or why not.
  """
  obstacle = _obstacle(first, second)
  if obstacle:
    return False, (
      f"The runs are compared without pairs (Welch), because {obstacle}. "
      "Welch's interval takes the seeds of the two runs as unrelated; where "
      "members of equal seed resemble each other all the same, or are the same "
      "models, it is wider than it need be, and its p larger."
    )
  changed = [
    path
    for path in settings.differences(first["sweep"], second["sweep"])
    if path not in _ANY
  ]
  what = f"differ only in {listed(changed[:_SHOWN])}" if changed else "are one"
  if changed[_SHOWN:]:
    what += f" and {len(changed) - _SHOWN} more of that kind"
  return True, (
    "Members of equal seed are pairs (paired t): data, seeds and the versions "
    f"of JAX and Flax are the same, and the configs {what}, which leaves the "
    "initial parameters and the order of the examples of a seed as they are."
  )


def _obstacle(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
  """What keeps members of equal seed from being pairs; "" for nothing."""
  sides = (first, second)
  if any("sweep" not in one for one in sides):
    return "an imported run does not say what its seeds decide"
  prints = [_at(one, "data", "fingerprint") for one in sides]
  if None in prints or prints[0] != prints[1]:
    return "their data are not the same, or not recorded"
  seeds = [set(one["sweep"].get("seeds", ())) for one in sides]
  if seeds[0] != seeds[1]:
    both = len(seeds[0] & seeds[1])
    return f"their seeds are not the same ({both} occur in both)"
  for name in _RANDOM:
    versions = [_at(one, "versions", name) for one in sides]
    if None in versions or versions[0] != versions[1]:
      return f"their versions of {name} differ, or are not recorded"
  paths = settings.differences(first["sweep"], second["sweep"])
  touching = [path for path in paths if not _is_apart(path)]
  if touching:
    return (
      f"their configs differ in {listed(touching[:_SHOWN])}"
      f"{' and others' if touching[_SHOWN:] else ''}, after which a seed need "
      "not mean the same initial parameters and order of examples"
    )
  return ""


def _is_apart(path: str) -> bool:
  """Whether a setting leaves initial parameters and order alone."""
  phase, _, name = path.partition(".")
  return (
    path in _ANY
    or path.startswith(_PARTS)
    or (f"{phase}." in _PHASES and name in _OF_A_PHASE)
  )


def _at(found: Mapping[str, Any], part: str, name: str) -> object:
  within = found.get(part)
  return within.get(name) if isinstance(within, Mapping) else None


def _rows(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Row]:
  for name in dict.fromkeys((*first, *second)):
    sides = [one.get(name, facts.NOT_RECORDED) for one in (first, second)]
    if sides[0] != sides[1] and name not in _UNTOLD:
      yield (name, *sides)
