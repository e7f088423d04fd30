"""What was run, in a paragraph and in a table."""

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

import pandas as pd

from prunebias_jax import store
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  count_of,
  duration,
  listed,
  percent,
)

NOT_RECORDED = "not recorded"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
  """How many members the run has, and which are not finished.

  `usable` members are done and not left out: they did not diverge, and have
  logits that are finite wherever these are not skipped. The others are named.
  """

  total: int
  done: int
  usable: int
  analysed: int
  missing: tuple[str, ...]
  left_out: tuple[str, ...]


def progress(source: Source) -> Progress:
  """Counts the members that are finished, and those that are analysed."""
  members = source.members
  done, diverged = (members[name].astype(bool) for name in ("done", "diverged"))
  left_out = _names(members[done & diverged])
  skipped = source.analysis.arrays.attrs.get("left_out", ())
  left_out = tuple(dict.fromkeys((*left_out, *skipped)))
  return Progress(
    total=len(members),
    done=int(done.sum()),
    usable=int(done.sum()) - len(left_out),
    analysed=source.analysis.arrays.sizes["member"],
    missing=_names(members[~done]),
    left_out=left_out,
  )


def _names(members: pd.DataFrame) -> tuple[str, ...]:
  return tuple(store.member_name(row) for _, row in members.iterrows())


def summary(source: Source) -> str:
  """The paragraph that says what was run."""
  facts, members = source.run.facts, source.members
  sweep = facts.get("sweep", {})
  structure = _part(sweep, "pruning").get("structure")
  units = "output channels" if structure == "channels" else "weights"
  seeds = members["seed"].nunique()
  levels = sorted(set(members["sparsity"].tolist()))
  pruners = sorted(set(members["pruner"]) - {"dense"})
  by = f" by {listed(pruners)}" if pruners and max(levels) > 0 else ""
  trained = members[members["quantization"] == "none"]
  kinds = list(dict.fromkeys(members["quantization"].drop(trained.index)))
  return " ".join(
    part
    for part in (
      f"{count_of(len(trained), 'network')}{_network(facts)}: "
      f"{count_of(seeds, 'random seed')}, "
      f"{'each ' if seeds > 1 else ''}at "
      f"{count_of(len(levels), 'final sparsity', 'final sparsities')} "
      f"({_levels(levels, units)}{by}).",
      _data(source, facts, sweep),
      f"{count_of(len(members) - len(trained), 'quantized one')} beside them: "
      f"{listed(kinds)}."
      if kinds
      else "",
      "All numbers are those of the test split"
      f"{' after the last epoch' if source.run.imported is None else ''}"
      f"{', unless a figure says otherwise' if source.others else ''}.",
      _origin(source.run.imported),
    )
    if part
  )


def facts_rows(source: Source) -> list[tuple[str, str]]:
  """The facts of the run, each with its name."""
  facts = source.run.facts
  data, device = _part(facts, "data"), _part(facts, "device")
  model, execution = _part(facts, "model"), _part(facts, "execution")
  made = [
    ("Parameters", _count(model.get("parameters"))),
    ("Prunable weights", _count(model.get("prunable"))),
    ("Device", _device(device)),
    ("Execution", _execution(execution)),
    ("Measured to choose it", _ways(execution)),
    ("Time, all members", _time(facts.get("seconds"))),
    ("Time per member", _time(facts.get("seconds_per_member"))),
  ]
  if source.run.imported is not None:
    made = _origin_rows(source.run.imported)
  rows = [
    ("Begun", facts.get("created")),
    ("Data", data.get("name")),
    ("Examples", _sizes(data)),
    ("Fingerprint of the data", data.get("fingerprint")),
    *made,
    ("Run format", facts.get("format")),
    ("Rules of the analysis", source.analysis.arrays.attrs.get("parity")),
    ("Coverage of the intervals", f"{percent(source.level)} %"),
    *_option_rows(source),
  ]
  return [
    (name, NOT_RECORDED if value in (None, "") else str(value))
    for name, value in rows
  ]


def _option_rows(source: Source) -> list[tuple[str, str]]:
  """Options of the analysis beside parity and level."""
  attrs = source.analysis.arrays.attrs
  names = {
    "permutations": "Arrangements drawn, of exemplars",
    "safe_margin": "Margin of what is called safe",
    "bootstraps": "Draws of the bootstrap",
    "queue": "Examples in the queue, at most",
  }
  return [
    (text, _value(attrs[name])) for name, text in names.items() if name in attrs
  ]


def _origin_rows(imported: Mapping[str, Any]) -> list[tuple[str, str]]:
  """Where an imported run is from."""
  pairing = {
    "seed": "dense and compressed members of equal seed",
    "parent_seed": "members with the dense member of their parent_seed",
    "none": "nothing: seeds of different populations are unrelated",
  }
  return [
    ("Precision of the logits", imported["precision"]),
    ("Paired", pairing[imported["pairing"]]),
    *(
      (f"SHA-256 of {one['name']}", one["sha256"]) for one in imported["files"]
    ),
  ]


def version_rows(source: Source) -> list[tuple[str, str]]:
  """Versions by package."""
  versions = _part(source.run.facts, "versions")
  return [(str(name), str(version)) for name, version in versions.items()]


def analysis_version_rows(source: Source) -> list[tuple[str, str]]:
  """Versions of what computed the statistics, by package."""
  versions = _part(source.analysis.arrays.attrs, "versions")
  return [(str(name), str(version)) for name, version in versions.items()]


def config_rows(source: Source) -> list[tuple[str, str]]:
  """The config, flat: dotted path and value."""
  return list(_flat(_part(source.run.facts, "sweep")))


def sparsity_rows(source: Source) -> list[tuple[str, str, str, str]]:
  """Final counts of zeros: population, target, zeros, reached sparsity."""
  log = source.run.metrics()
  prunable = _part(source.run.facts, "model").get("prunable")
  if "zeros" not in log or not prunable:
    return []
  last = log[log["epoch"] == log["epoch"].max()]
  rows = []
  keys = ["sparsity", "pruner"]
  for (sparsity, pruner), group in last.groupby(keys, sort=True):
    counts = group["zeros"].astype(int)
    # Channels of several sizes: seeds may end at different counts.
    zeros = sorted({counts.min(), counts.max()})
    reached = [f"{100 * count / prunable:.3f} %" for count in zeros]
    rows.append(
      (
        str(pruner),
        f"{percent(float(str(sparsity)))} %",
        " to ".join(f"{count:,}" for count in zeros),
        " to ".join(reached),
      )
    )
  return rows


def _origin(imported: Mapping[str, Any] | None) -> str:
  """The sentence that says that logits are somebody else's."""
  if imported is None:
    return ""
  names = [one["name"] for one in imported["files"]]
  more = f" and {count_of(len(names) - 3, 'more file')}" if names[3:] else ""
  return (
    f"The logits were computed elsewhere and imported from "
    f"{', '.join(names[:3])}{more}."
  )


def _network(facts: Mapping[str, Any]) -> str:
  name = _part(_part(facts, "sweep"), "model").get("name")
  model = _part(facts, "model")
  details = [str(name)] if name else []
  if model.get("parameters"):
    details.append(f"{_count(model['parameters'])} parameters")
  if model.get("prunable"):
    details.append(f"{_count(model['prunable'])} of them prunable")
  return f" ({', '.join(details)})" if details else ""


def _levels(levels: list[float], units: str) -> str:
  shown = [f"{percent(one)} %" for one in levels if one > 0]
  words = (["dense"] if 0 in levels else []) + (
    [f"{listed(shown)} of the prunable {units} removed"] if shown else []
  )
  return "; ".join(words)


def _data(
  source: Source, facts: Mapping[str, Any], sweep: Mapping[str, Any]
) -> str:
  data = _part(facts, "data")
  name = data.get("name") or _part(sweep, "data").get("name")
  epochs = _part(sweep, "train").get("epochs")
  plural = "attributes" if source.output == "attribute" else "classes"
  kind = "binary " if source.output == "attribute" else "exclusive "
  text = (
    f"They learned {len(source.outputs):,} {kind}"
    f"{plural if len(source.outputs) != 1 else source.output}"
  )
  text += f" of {name}" if name else ""
  sizes = _sizes(data)
  text += f" ({sizes} examples)" if sizes else ""
  text += f" for {count_of(int(epochs), 'epoch')}" if epochs else ""
  text += _loss(_part(sweep, "loss"))
  identities = list(
    dict.fromkeys(name for name, _ in source.groups if name and "*" not in name)
  )
  text += "; groups are defined by " + listed(identities) if identities else ""
  return text + "."


def _loss(loss: Mapping[str, Any]) -> str:
  """How they learned, where not by the plain loss."""
  by = listed([str(name) for name in loss.get("identities") or ()])
  return {
    "class_reweighted": ", by a loss in which both values of a label (or all "
    "classes) weigh alike",
    "group_reweighted": ", by a loss in which every value of a label weighs "
    f"alike in every group of {by}",
    "learning_from_failure": ", by Learning from Failure (a biased network "
    "beside each weighs their labels)",
  }.get(str(loss.get("kind")), "")


def _part(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
  """A nested part of the facts; empty where it is absent."""
  found = facts.get(name)
  return found if isinstance(found, Mapping) else {}


def _sizes(data: Mapping[str, Any]) -> str:
  sizes = _part(data, "sizes")
  return ", ".join(f"{_count(size)} {name}" for name, size in sizes.items())


def _device(device: Mapping[str, Any]) -> str:
  if not device:
    return ""
  kind, platform = device.get("kind"), device.get("platform")
  name = str(kind or platform)
  if platform and platform != kind:
    name += f" ({platform})"
  return f"{device.get('count', 1)} × {name}"


def _execution(execution: Mapping[str, Any]) -> str:
  return ", ".join(
    f"{name} {_value(value)}"
    for name, value in execution.items()
    if name != "measured"
  )


def _ways(execution: Mapping[str, Any]) -> str:
  """Images a second of every way of running members that was tried."""
  return (
    "; ".join(
      f"{way['mode']}, {way['lowering']}: "
      + (
        f"{way['images_per_second']:,.0f} images/s"
        if way["images_per_second"]
        else str(way["reason"])
      )
      for way in execution.get("measured", ())
    )
    or "nothing: one way only"
  )


def _time(seconds: object) -> str:
  if not isinstance(seconds, int | float):
    return ""
  exact = f" ({seconds:,.0f} s)" if seconds >= 60 else ""
  return duration(float(seconds)) + exact


def _count(value: object) -> str:
  return f"{value:,}" if isinstance(value, int) else str(value or "")


def _value(value: object) -> str:
  if isinstance(value, Mapping):
    return " × ".join(f"{name} {_value(one)}" for name, one in value.items())
  if isinstance(value, list | tuple):
    return ", ".join(map(_value, value)) or "none"
  if isinstance(value, bool):
    return "yes" if value else "no"
  if value is None or value == "":
    return "—"
  return f"{value:g}" if isinstance(value, float) else str(value)


def _flat(
  config: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str]]:
  for name, value in config.items():
    if isinstance(value, Mapping):
      yield from _flat(value, f"{prefix}{name}.")
    else:
      yield f"{prefix}{name}", _value(value)
