"""Plain sentences: what an analysis could not say, and why."""

import numpy as np
import xarray as xr

from prunebias_jax.analysis.cells import (
  baseline,
  members_of,
  paired,
  populations,
)
from prunebias_jax.analysis.flags import AttributeFlag, BiasFlag
from prunebias_jax.analysis.inference import fewest_pairs
from prunebias_jax.analysis.tables import output_of

NAMED = 5


def make_notes(arrays: xr.Dataset) -> list[str]:
  """Sentences about what is not available in an analysis.

  Args:
    arrays: the dataset of `Analysis.arrays`.

  Returns:
    One sentence each, the most general first; empty where nothing is missing.
  """
  return [*_splits(arrays), *_seeds(arrays), *_outputs(arrays)]


def member_text(pruner: str, sparsity: float, quantization: str) -> str:
  """A population as a reader names it: "magnitude, sparsity 0.95"."""
  middle = "" if quantization == "none" else f", {quantization}"
  return f"{pruner}, sparsity {sparsity:g}{middle}"


def _splits(arrays: xr.Dataset) -> list[str]:
  """Sentences about splits and identities that are not there."""
  notes = []
  if np.any(arrays["flags"].to_numpy() & AttributeFlag.NO_TRAIN):
    notes.append(
      "There are no train labels: TCB and bias amplification, which compare "
      "with train rates, are not available."
    )
  if output_of(arrays) == "attribute" and arrays.sizes["threshold_rule"] == 1:
    notes.append(
      "There are no validation logits: calibrated thresholds are not available."
    )
  if not arrays.sizes["pair"]:
    notes.append(
      "The run has no identity attributes: there are no groups to compare, "
      "and no bias amplification."
    )
  return notes


def _seeds(arrays: xr.Dataset) -> list[str]:
  """Sentences about populations with few seeds, or none to pair with."""
  members = members_of(arrays)
  found = populations(members)
  notes = []
  single = [key for key, places in found.items() if len(places) == 1]
  if single:
    notes.append(
      f"One seed in {_listed([member_text(*key) for key in single])}: "
      "intervals and standard deviations over seeds are not available there."
    )
  dense = baseline(members)
  if dense is None:
    notes.append(
      "The run has no dense members: paired differences to dense are not "
      "available."
    )
    return notes
  few = []
  for key, places in found.items():
    if key == dense:
      continue
    pairs = len(paired(members, places, found[dense])[0])
    if pairs < len(places):
      notes.append(
        f"{len(places) - pairs} of {len(places)} members of "
        f"{member_text(*key)} have no dense member of the same seed: they are "
        "left out of the paired differences."
      )
    if 0 < pairs < fewest_pairs():
      few.append(member_text(*key))
  if few:
    notes.append(
      "Sign-flip and Wilcoxon tests are not available (they need "
      f"K >= {fewest_pairs()} pairs) in {_listed(few)}."
    )
  return notes


def _outputs(arrays: xr.Dataset) -> list[str]:
  """Sentences about single attributes or classes."""
  output = output_of(arrays)
  plural = "attributes" if output == "attribute" else "classes"
  names = np.array(arrays[output].to_numpy().tolist(), object)
  flags = arrays["flags"].to_numpy()
  notes = []
  for flag, word in (
    (AttributeFlag.NO_POSITIVES, "positives"),
    (AttributeFlag.NO_NEGATIVES, "negatives"),
  ):
    without = names[np.any(flags & flag, axis=(0, 1))].tolist()
    if without:
      notes.append(
        f"No {word} in the test labels of {_listed(without)}: AUC and the "
        "rates of these examples are not available."
      )
  rules = arrays["threshold_rule"].to_numpy().tolist()
  for place, rule in enumerate(rules):
    cells = flags[:, place]
    constant = np.count_nonzero(cells & AttributeFlag.CONSTANT)
    if constant:
      under = f" under the {rule} thresholds" if len(rules) > 1 else ""
      notes.append(
        f"{constant} of {cells.size} ({output}, member) cells are predicted "
        f"constant{under}; what needs both predictions is not available there."
      )
  tied = np.count_nonzero(flags & AttributeFlag.THRESHOLD_TIED)
  if tied:
    notes.append(
      f"{tied} calibrated thresholds do not reach their count of positives: "
      "the validation logits are tied there."
    )
  one_class = flags & AttributeFlag.THRESHOLD_ONE_CLASS
  without = names[np.any(one_class, axis=(0, 1))].tolist()
  if without:
    notes.append(
      f"The validation labels of {_listed(without)} are of one class: the "
      "calibrated threshold lies beside all validation logits."
    )
  low = arrays["bias_amplification_flags"].to_numpy() & BiasFlag.LOW_N
  few = names[np.any(low, axis=(0, 1, 3))].tolist()
  if few:
    notes.append(
      f"Bias amplification of {len(few)} of {len(names)} {plural} rests on "
      "fewer than 10 positives in a group (flag low_n)."
    )
  return notes


def _listed(names: list[str]) -> str:
  """Names in a sentence, cut after the first few."""
  shown = names[:NAMED]
  text = (
    "; ".join(shown)
    if any("," in name for name in shown)
    else (", ".join(shown))
  )
  rest = len(names) - len(shown)
  return f"{text} and {rest} more" if rest else text
