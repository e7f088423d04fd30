"""The table "class_tests": which classes does compression single out?

A class is singled out where its recall moves otherwise than the accuracy does.
Reference: Hooker et al. 2019, "What Do Compressed Deep Neural Networks Forget?"
(the test of `parity="paper"`, by its public code). The shift of each member by
its own accuracy, pairing by seed and the false discovery rate are this
project's.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import dependence
from prunebias_jax.analysis.columns import TABLES
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import (
  NO_THRESHOLD,
  AttributeFlag,
  join_reasons,
)
from prunebias_jax.analysis.inference import (
  MARK,
  benjamini_hochberg,
  paired_contrast,
  unlike_normal,
  welch,
)
from prunebias_jax.analysis.parents import by_parent
from prunebias_jax.analysis.parity import Parity
from prunebias_jax.analysis.tables import frame, output_of, population_columns

PAIRED = "paired t of recall - accuracy"
UNPAIRED = "Welch t of recall - accuracy"
PAPER = "Welch t of recall - mean accuracy of the population"


def class_test(
  recall: tuple[np.ndarray, np.ndarray],
  accuracy: tuple[np.ndarray, np.ndarray],
  *,
  pairs: bool,
  level: float = 0.95,
  parity: Parity = "default",
) -> dict[str, np.ndarray]:
  """Tests whether recall less accuracy differs between two populations.

  The published test takes the mean accuracy of the population from each recall:
  what seeds do to all classes alike stays in and hides what they do to one.

  Args:
    recall: float64 [member, class], of compressed and of dense members.
    accuracy: float64 [member, class], of the same; of a multi-class task the
      same in all classes.
    pairs: the members of both sides are of the same seeds, in the same order.
    level: coverage of the interval of the difference.
    parity: "default": each member's own accuracy, paired where seeds pair;
      "paper": that of the population, and Welch's test.

  Returns:
    float64 [class] each: shift_dense, shift_compressed (mean recall -
    accuracy), difference, low, high, p (two-sided) and p_adjusted (Benjamini
    and Hochberg over the classes). NaN where a side has one member, or none
    has any spread. And unlike, bool [class]: the seeds do not look normal.
  """
  # Both are shares of counts: what they differ by at this place is rounding,
  # which must not pass for a spread over seeds.
  here, dense = (
    np.round(own - (whole.mean(axis=0) if parity == "paper" else whole), 12)
    for own, whole in zip(recall, accuracy, strict=True)
  )
  if pairs and parity == "default":
    contrast = paired_contrast(here, dense, level=level)
    difference, p = contrast.difference, contrast.t_p
    unlike = unlike_normal(here - dense)
  else:
    compared = welch(here, dense, level=level)
    difference, p = compared.difference, compared.p
    unlike = unlike_normal(here) | unlike_normal(dense)
  return {
    "shift_dense": dense.mean(axis=0),
    "shift_compressed": here.mean(axis=0),
    "difference": difference.estimate,
    "low": difference.low,
    "high": difference.high,
    "p": p,
    "p_adjusted": benjamini_hochberg(p),
    "unlike": unlike,
  }


def class_tests_table(evidence: Evidence, arrays: xr.Dataset) -> pd.DataFrame:
  """The table "class_tests"; empty where there is no dense population.

  Of an attribute it is the test of its positives: recall less accuracy of the
  negatives is the same number but for a constant factor.

  Args:
    evidence: whose members are compared.
    arrays: their numbers, as `Analysis.arrays` has them.
  """
  output = output_of(arrays)
  everyone = 0  # the first group, by construction
  recall = 1 - arrays["group_false_negative_rate"].to_numpy()[..., everyone]
  accuracy = arrays["accuracy"].to_numpy()
  if output == "class":
    whole = arrays["overall_accuracy"].to_numpy()
    accuracy = np.broadcast_to(whole[..., None], recall.shape)
  found = evidence.populations()
  parity = evidence.options.parity
  parts = []
  for population, (dense, pairs) in evidence.compared().items():
    paired = bool(len(pairs)) and parity == "default"
    sides = (found[population], found[dense])
    if paired:
      sides = (pairs[:, 0], pairs[:, 1])
    shared = pairs if paired else pairs[:0]
    note, independent = dependence(
      evidence.members, found[population], shared, averaged=True
    )
    for place, rule in enumerate(arrays["threshold_rule"].to_numpy()):
      numbers = class_test(
        _of_sides(recall[:, place], sides, shared),
        _of_sides(accuracy[:, place], sides, shared),
        pairs=paired,
        level=evidence.options.level,
        parity=parity,
      )
      if not independent:
        for name in ("low", "high", "p", "p_adjusted"):
          numbers[name] = np.full(len(numbers[name]), np.nan)
      unlike = numbers.pop("unlike") & np.isfinite(numbers["low"])
      few = min(map(len, sides)) == 1
      test = PAPER if parity == "paper" else PAIRED if paired else UNPAIRED
      count = arrays.sizes[output]
      columns = {
        **population_columns(population, count),
        "threshold_rule": np.full(count, rule, object),
        "attribute": arrays[output].to_numpy().astype(object),
        "n_examples": arrays["n_positive"].to_numpy()[:, everyone],
        "n_dense": np.full(count, len(np.unique(sides[1]))),
        "n_compressed": np.full(count, len(sides[0])),
        **numbers,
        "test": np.full(count, test, object),
        "reason": _reasons(
          arrays, place, np.isnan(numbers["p"]) & independent, unlike, few, note
        ),
      }
      parts.append(frame("class_tests", columns, arrays))
  if not parts:
    return pd.DataFrame(columns=list(TABLES["class_tests"]))
  return pd.concat(parts, ignore_index=True)


def _of_sides(
  values: np.ndarray, sides: Sequence[np.ndarray], pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Values [member, class] of compressed and dense members; see `parents`."""
  here, dense = (by_parent(values[side], pairs) for side in sides)
  return here, dense


def _reasons(
  arrays: xr.Dataset,
  rule: int,
  missing: np.ndarray,
  unlike: np.ndarray,
  few: bool,
  note: str,
) -> np.ndarray:
  """Why there is no test, or what it is about: object [class]."""
  positive, negative = (
    arrays[name].to_numpy()[:, 0] for name in ("n_positive", "n_negative")
  )
  flags = arrays["flags"].to_numpy()[:, rule]
  undecided = np.any(flags & AttributeFlag.NO_THRESHOLD, axis=0)
  there = (positive > 0) & ~undecided
  same = "one seed" if few else "the same in every seed"
  return join_reasons(
    len(positive),
    [
      (undecided, NO_THRESHOLD),
      (positive == 0, "no example of it"),
      (there & (negative == 0), "all examples are of it"),
      (there & missing, f"not available: {same}"),
      (there & unlike, MARK),
      (there & bool(note), note),
    ],
  )
