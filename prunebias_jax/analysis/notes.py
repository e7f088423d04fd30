"""Plain sentences: what an analysis could not say, and why."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from prunebias_jax.analysis.cells import (
  baseline,
  members_of,
  paired,
  populations,
)
from prunebias_jax.analysis.checks import population_text
from prunebias_jax.analysis.columns import EVERYONE, PARENT
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
  return [
    *_left_out(arrays),
    *_splits(arrays),
    *_missing(arrays),
    *_seeds(arrays),
    *_outputs(arrays),
    *_groups(arrays),
    *_bias(arrays),
  ]


def evaluation_notes(
  main: xr.Dataset,
  others: Mapping[tuple[str, str], xr.Dataset],
  evaluations: Mapping[tuple[str, str], xr.Dataset],
) -> list[str]:
  """Sentences about evaluations that lack members or thresholds.

  Args:
    main: the arrays of the last parameters on test.
    others: those of the other evaluations.
    evaluations: what the members were evaluated on, analysed or not.
  """
  notes = []
  total = main.sizes["member"]
  short = [
    f"{split}, {checkpoint} parameters ({data.sizes['member']} of {total})"
    for (checkpoint, split), data in evaluations.items()
    if data.sizes["member"] < total
  ]
  if short:
    notes.append(
      f"Not all members have logits on {_listed(short)}: `prunebias "
      "evaluate` adds what is missing where parameters are kept."
    )
  uncalibrated = _once(
    [
      checkpoint
      for (checkpoint, _), arrays in others.items()
      if arrays.sizes["threshold_rule"] < main.sizes["threshold_rule"]
    ]
  )
  notes += [
    f"There are no validation logits of the {checkpoint} parameters of every "
    "member: their rows have no calibrated thresholds (`prunebias evaluate` "
    f"with --split valid --checkpoint {checkpoint} adds them)."
    for checkpoint in uncalibrated
  ]
  if others:
    notes.append(
      "Notes on single attributes and groups are about the last parameters on "
      "the test split; the column `reason` says what holds of the others."
    )
  return notes


def _left_out(arrays: xr.Dataset) -> list[str]:
  """A sentence about members that are not analysed."""
  names = arrays.attrs.get("left_out", ())
  if not len(names):
    return []
  total = len(names) + arrays.sizes["member"]
  return [
    f"{len(names)} of {total} members are left out, for their training "
    f"diverged or their logits are not finite: {'; '.join(names)}."
  ]


def _splits(arrays: xr.Dataset) -> list[str]:
  """Sentences about splits and identities that are not there."""
  notes = []
  if np.all(arrays["flags"].to_numpy() & AttributeFlag.NO_TRAIN):
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


def _missing(arrays: xr.Dataset) -> list[str]:
  """Sentences about labels that are missing, and attributes without any."""
  names = np.array(arrays[output_of(arrays)].to_numpy().tolist(), object)
  notes = []
  for split in arrays["labels_of"].to_numpy().tolist():
    there, missing = (
      arrays[name].sel(labels_of=split).to_numpy()
      for name in ("n_labels", "n_missing")
    )
    # The most first.
    order = np.argsort(-missing, kind="stable")[: np.count_nonzero(missing)]
    if order.size:
      counts = [f"{names[i]} {missing[i]:,}" for i in order]
      notes.append(
        f"Missing labels in {split} ({there[0] + missing[0]:,} examples): "
        f"{_listed(counts)}. What is compared with labels leaves them out."
      )
  flags = arrays["flags"].to_numpy()
  for flag, split, lost in (
    (AttributeFlag.NO_LABELS, "test", "whatever needs one is"),
    (AttributeFlag.NO_THRESHOLD, "validation", "calibrated thresholds are"),
    (AttributeFlag.NO_TRAIN, "train", "TCB and bias amplification are"),
  ):
    without = np.any(flags & flag, axis=(0, 1))
    # All of them: there is no such split, which is said elsewhere.
    if without.any() and not (flag == AttributeFlag.NO_TRAIN and without.all()):
      notes.append(
        f"No {split} label of {_listed(names[without].tolist())}: {lost} not "
        "available there."
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
      f"One seed in {_listed([population_text(*key) for key in single])}: "
      "intervals and standard deviations over seeds are not available there."
    )
  if baseline(members) is None:
    notes.append(
      "The run has no dense members: paired differences to dense are not "
      "available."
    )
    return notes
  if (members[PARENT] < 0).all():
    notes.append(
      "Seeds of different populations have nothing to do with each other: "
      "nothing is paired, and differences are compared as those of "
      "independent populations."
    )
    return notes
  few = []
  for key, places in found.items():
    dense = baseline(members, key)
    if dense is None or key == dense:
      continue
    pairs = len(paired(members, places, found[dense])[0])
    if pairs < len(places):
      notes.append(
        f"{len(places) - pairs} of {len(places)} members of "
        f"{population_text(*key)} have no dense member to pair with: they "
        "are left out of the paired differences."
      )
    if 0 < pairs < fewest_pairs():
      few.append(population_text(*key))
  if few:
    notes.append(
      "Sign-flip and Wilcoxon tests are not available (they need "
      f"K >= {fewest_pairs()} pairs that differ) in {_listed(few)}."
    )
  return notes


def _outputs(arrays: xr.Dataset) -> list[str]:
  """Sentences about single attributes or classes."""
  output = output_of(arrays)
  names = np.array(arrays[output].to_numpy().tolist(), object)
  flags = arrays["flags"].to_numpy()
  notes = []
  if np.any(flags & AttributeFlag.ONE_ATTRIBUTE):
    notes.append("There is one attribute: interdependence is not available.")
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
  return notes


def _groups(arrays: xr.Dataset) -> list[str]:
  """Sentences about groups without examples, positives or negatives."""
  identities, values = map(np.array, _pairs_of(arrays, "group"))
  positive = arrays["n_positive"].to_numpy()
  negative = arrays["n_negative"].to_numpy()
  empty = arrays["n_examples"].to_numpy() == 0
  crossed = np.array(["*" in identity for identity in identities], bool)
  notes = []
  names = [
    f"{identity} = {value}"
    for identity, value in zip(
      identities[empty & ~crossed], values[empty & ~crossed], strict=True
    )
  ]
  if names:
    notes.append(
      f"No test example has {_listed(names)}: the rates of such a group and "
      "its bias amplification are not available."
    )
  if np.any(empty & crossed):
    notes.append(
      f"{np.count_nonzero(empty & crossed)} of {np.count_nonzero(crossed)} "
      "crossings of two identities hold no test example: they have no rates."
    )
  outputs = arrays[output_of(arrays)].to_numpy()
  itself = np.array(
    [
      [name in identity.split("*") for identity in identities]
      for name in outputs
    ]
  )
  counted = ~empty & (identities != EVERYONE) & ~itself
  one_sided = counted & ((positive == 0) | (negative == 0))
  if np.any(one_sided):
    notes.append(
      f"{np.count_nonzero(one_sided)} of {np.count_nonzero(counted)} "
      f"({output_of(arrays)}, group) cells hold no positives or no negatives: "
      "the false negative or false positive rate is not available there."
    )
  return notes


def _bias(arrays: xr.Dataset) -> list[str]:
  """Sentences about bias amplification that is missing or rests on little."""
  if not arrays.sizes["pair"]:
    return []
  flags = arrays["bias_amplification_flags"].to_numpy()
  finite = np.isfinite(arrays["bias_amplification"].to_numpy())
  output = output_of(arrays)
  notes = []
  # Those that are empty in test are told of as groups.
  sizes = arrays["n_examples"].to_numpy().tolist()
  groups = zip(*_pairs_of(arrays, "group"), strict=True)
  size = dict(zip(groups, sizes, strict=True))
  constant = [
    identity
    for identity, value, empty in zip(
      *_pairs_of(arrays, "pair"),
      np.any(flags & BiasFlag.EMPTY_GROUP, axis=(0, 1, 2)).tolist(),
      strict=True,
    )
    if empty and 0 < size[identity, value] < size[EVERYONE, EVERYONE]
  ]
  if constant:
    notes.append(
      f"All train examples have one value of {_listed(_once(constant))}: its "
      "bias amplification is not available."
    )
  equal = np.any(flags & BiasFlag.EQUAL_RATES, axis=(0, 1))
  if np.any(equal):
    notes.append(
      f"The train rates of a group and its rest are equal in "
      f"{np.count_nonzero(equal)} of {equal.size} ({output}, identity) cells: "
      "bias amplification has no direction there."
    )
  unknown = np.any(flags & BiasFlag.NO_LABELS, axis=(0, 1))
  if np.any(unknown):
    notes.append(
      f"In {np.count_nonzero(unknown)} of {unknown.size} ({output}, identity) "
      "cells no label is there for the group or for its rest: bias "
      "amplification is not available there."
    )
  for flag, name, words in (
    (BiasFlag.LOW_N, "low_n", "positives in a group"),
    (BiasFlag.FEW_PREDICTED, "few_predicted", "predicted positives"),
  ):
    few = np.count_nonzero((flags & flag > 0) & finite)
    if few:
      notes.append(
        f"{few} of {np.count_nonzero(finite)} bias amplifications of single "
        f"members rest on fewer than 10 {words} (flag {name})."
      )
  return notes


def _pairs_of(arrays: xr.Dataset, along: str) -> tuple[list[str], list[str]]:
  """Identities and values along the dimension "group" or "pair"."""
  identity = arrays[f"{along}_identity"].to_numpy().tolist()
  return identity, arrays[f"{along}_value"].to_numpy().tolist()


def _once(names: list[str]) -> list[str]:
  return list(dict.fromkeys(names))


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
