"""The arrays of all members, stacked, with every axis named."""

from collections.abc import Sequence
import dataclasses
import importlib.metadata
import platform

import numpy as np
import xarray as xr

from prunebias_jax.analysis.cells import crossed_factors
from prunebias_jax.analysis.columns import (
  DIRECTIONAL_METRICS,
  GROUP_METRICS,
  MEMBER,
  PARENT,
  PURPOSES,
  RULES,
  WHERE,
)
from prunebias_jax.analysis.correlation import pairwise_correlation
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import AttributeFlag, BiasFlag, DirectionFlag
from prunebias_jax.analysis.measure import Arrays

# Whose versions an analysis records, besides Python's.
PACKAGES = ("prunebias_jax", "numpy", "scipy", "pandas")
# The dimensions of each variable after [member, threshold_rule].
OUTPUT = "output"  # stands for "attribute" or "class"
DIMENSIONS: dict[str, tuple[str, ...]] = {
  "accuracy": (OUTPUT,),
  "auc": (OUTPUT,),
  "predicted_positive": (OUTPUT,),
  "uncertainty": (OUTPUT,),
  "high_uncertainty": (OUTPUT,),
  "entropy": (OUTPUT,),
  "interdependence": (OUTPUT,),
  "tcb": (OUTPUT,),
  "ece": (OUTPUT,),
  "ece_sweep": (OUTPUT,),
  "threshold": (OUTPUT,),
  "balanced_accuracy": (OUTPUT,),
  "recall": (OUTPUT,),
  "false_positive_rate": (OUTPUT,),
  "flags": (OUTPUT,),
  "bias_amplification": (OUTPUT, "pair"),
  "bias_amplification_flags": (OUTPUT, "pair"),
  **{f"group_{name}": (OUTPUT, "group") for name in GROUP_METRICS},
  "prediction_correlation": (OUTPUT, "other"),
  "error_correlation": (OUTPUT, "other"),
  **{name: ("identity",) for name in DIRECTIONAL_METRICS},
  "directional_flags": ("identity",),
  "overall_accuracy": (),
  "overall_uncertainty": (),
  "overall_entropy": (),
  "overall_ece": (),
  "overall_ece_sweep": (),
  "overall_balanced_accuracy": (),
  "overall_group_accuracy": ("group",),
}


def assemble(
  measured: Sequence[Sequence[Arrays]], evidence: Evidence
) -> xr.Dataset:
  """Stacks the arrays of all members and rules, and names every axis.

  Args:
    measured: for each member, the arrays of each rule, from `measure`.
    evidence: what they were measured on.
  """
  facts, members = evidence.facts, evidence.members
  data = xr.Dataset(
    attrs={
      **dict(zip(WHERE, evidence.where, strict=True)),
      **dataclasses.asdict(evidence.options),
      "left_out": list(evidence.left_out),
      "versions": _versions(),
    }
  )
  for name in measured[0][0]:
    stacked = np.array([[rule[name] for rule in rules] for rules in measured])
    dimensions = [
      facts.output if dimension == OUTPUT else dimension
      for dimension in DIMENSIONS[name]
    ]
    data[name] = (("member", "threshold_rule", *dimensions), stacked)
  for name, flags in (
    ("flags", AttributeFlag),
    ("bias_amplification_flags", BiasFlag),
    ("directional_flags", DirectionFlag),
  ):
    data[name].attrs["flag_masks"] = [int(flag) for flag in flags]
    data[name].attrs["flag_meanings"] = " ".join(
      str(flag.name).lower() for flag in flags
    )
  for name, count in facts.label_counts().items():
    data[name] = ((facts.output, "group"), count.astype(np.int64))
  if not facts.exclusive:
    among_labels = pairwise_correlation(facts.labels, facts.present)
    data["label_correlation"] = ((facts.output, "other"), among_labels)
    data = data.assign_coords(other=list(facts.names))
  sizes = facts.groups.membership.sum(axis=0).astype(np.int64)
  data["n_examples"] = (("group",), sizes)
  for name in ("n_labels", "n_missing"):
    counts = np.array(list(getattr(facts, name).values()))
    data[name] = (("labels_of", facts.output), counts)
  data["prevalence"] = ((facts.output,), facts.prevalence)
  return data.assign_coords(
    {
      **{
        key: ("member", members[key].to_numpy())
        for key in (*MEMBER, PARENT, *_purposes(evidence))
      },
      "threshold_rule": list(RULES[: len(measured[0])]),
      facts.output: list(facts.names),
      "identity": np.array(facts.identity_names, str),
      "labels_of": list(facts.n_labels),
      "group_identity": ("group", list(facts.groups.identity)),
      "group_value": ("group", list(facts.groups.value)),
      "pair_identity": ("pair", np.array(facts.pairs.identity, str)),
      "pair_value": ("pair", np.array(facts.pairs.value, str)),
    }
  )


def _versions() -> dict[str, str]:
  """What computed the numbers."""
  found = {name: importlib.metadata.version(name) for name in PACKAGES}
  return {**found, "python": platform.python_version()}


def _purposes(evidence: Evidence) -> tuple[str, ...]:
  """The seeds by purpose, in a crossed design; else a member has one seed."""
  members = evidence.members
  crossed = any(
    crossed_factors(members.iloc[places])
    for places in evidence.populations().values()
  )
  return tuple(key for key in PURPOSES if crossed and key in members)
