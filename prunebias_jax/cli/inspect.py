"""prunebias inspect: what a run holds, in lines for a terminal."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from prunebias_jax import store
from prunebias_jax.cli.arguments import Verbs


def add(verbs: Verbs) -> None:
  """Adds the verb."""
  parser = verbs.add("inspect", inspect)
  parser.add_argument("run_directory", metavar="RUN", type=Path)


def inspect(options: argparse.Namespace) -> None:
  """Prints what a run holds."""
  run = store.open_run(options.run_directory)
  for line in describe(run):
    print(line)


def describe(run: store.Run) -> list[str]:
  """What a run holds, in lines for a terminal."""
  members, facts = run.members(), run.facts
  sizes = ", ".join(
    f"{run.split(name).sizes['example']} {name}" for name in run.splits
  )
  labels = run.split("test")
  outputs = [
    str(name) for name in labels[store.output_dimension(run.task)].values
  ]
  lines = [
    f"run         {run.name} ({run.path})",
    f"task        {run.task}, {len(outputs)} outputs: {_shortened(outputs)}",
    f"identities  {_shortened([str(x) for x in labels['identity'].values])}",
    f"examples    {sizes}",
    f"members     {members['done'].sum()} of {len(members)} done",
  ]
  if run.imported is not None:
    lines.insert(1, f"imported    {_origin(run.imported)}")
  loss = facts.get("sweep", {}).get("loss", {})
  if loss.get("kind", "plain") != "plain":
    groups = "*".join(loss["identities"])
    lines.insert(-1, f"loss        {loss['kind']} {groups}".rstrip())
  for (pruner, sparsity, quantization), group in members.groupby(
    ["pruner", "sparsity", "quantization"], sort=False
  ):
    seeds = ", ".join(map(str, group.loc[group["done"], "seed"]))
    lines.append(
      f"            {pruner}, sparsity {sparsity:g}, quantization "
      f"{quantization}: seeds {seeds or 'none yet'}"
    )
  more = [
    f"{one.split} ({one.checkpoint} parameters, "
    f"{run.evaluated(one).sum()} done)"
    for one in run.evaluations()
    if not one.is_trained
  ]
  if more:
    lines.append(f"evaluated   {', '.join(more)}")
  corrections = facts.get("data", {}).get("corrections")
  if corrections:
    counts = ", ".join(f"{count} {name}" for name, count in corrections.items())
    lines.append(f"corrections {counts} (data.corrections)")
  if "model" in facts:
    model = facts["model"]
    lines.append(
      f"parameters  {model['parameters']:,}, of which "
      f"{model['prunable']:,} prunable"
    )
  metrics = run.metrics()
  if len(metrics):
    # Dense members may end before the others.
    last = metrics.sort_values("epoch", kind="stable").drop_duplicates(
      list(store.MEMBER_KEY), keep="last"
    )
    for sparsity in sorted(last["sparsity"].unique().tolist()):
      group = last[last["sparsity"] == sparsity]
      zeros = sorted({group["zeros"].min(), group["zeros"].max()})
      lines.append(
        f"trained     sparsity {sparsity:g}: epoch {group['epoch'].max()}, "
        f"loss {group['loss'].mean():.4f}, zeros "
        f"{' to '.join(f'{count:,}' for count in zeros)}"
      )
  layers = run.path / "layers.csv"
  if layers.exists():
    lines.append("layers      sparsity of each layer, mean over seeds:")
    table = pd.read_csv(layers)
    pruned = table[table["sparsity"] > 0]
    for (pruner, sparsity), group in pruned.groupby(
      ["pruner", "sparsity"], sort=False
    ):
      shares = zip(group["layer"], group["sparsity_mean"], strict=True)
      lines.append(
        f"            {pruner}, sparsity {sparsity:g}: "
        + ", ".join(f"{layer} {share:.3f}" for layer, share in shares)
      )
  if run.imported is None:
    lines += _costs(run)
  analysis = run.path / "analysis"
  tables = sorted(path.name for path in analysis.glob("*.csv"))
  lines.append(
    f"analysis    {', '.join(tables)}"
    if tables
    else f"analysis    none yet: prunebias analyze {run.path}"
  )
  return lines


def _origin(imported: Mapping[str, Any]) -> str:
  """Where an imported run is from, and how its members pair."""
  files = ", ".join(
    f"{one['name']} (SHA-256 {one['sha256'][:12]}...)"
    for one in imported["files"][:3]
  )
  if imported["files"][3:]:
    files += f" and {len(imported['files']) - 3} more files"
  pairing = {
    "seed": "dense and compressed members of equal seed are paired",
    "parent_seed": "members are paired with the dense member of parent_seed",
    "none": "seeds of different populations are unrelated: nothing is paired",
  }[imported["pairing"]]
  return f"from {files}; {imported['precision']}; {pairing}"


def _costs(run: store.Run) -> list[str]:
  """What each population would cost."""
  path = run.path / "costs.csv"
  if path.exists():
    table = pd.read_csv(path, keep_default_na=False)
  else:
    # Imported here: reading a run needs no flax, but where it is older than
    # its costs.
    from prunebias_jax.training.costs import cost_table

    table = cost_table(run)
  if not len(table):
    return ["costs       not known: this run keeps no parameters"]
  names = [
    f"{pruner}, sparsity {sparsity:g}{'' if kind == 'none' else f', {kind}'}"
    for pruner, sparsity, kind in zip(
      table["pruner"], table["sparsity"], table["quantization"], strict=True
    )
  ]
  width = max(map(len, names))
  head = f"{'parameters':>13}{'MFLOP':>11}{'MB':>10}{'MB sparse':>11}"
  lines = [f"{'costs':<12}{'of one member, one image':<{width}}{head}"]
  for name, (_, row) in zip(names, table.iterrows(), strict=True):
    lines.append(
      f"            {name:<{width}}{row['parameters_left']:>13,.0f}"
      f"{row['flops_left'] / 1e6:>11,.2f}{row['bytes_dense'] / 1e6:>10,.3f}"
      f"{row['bytes_sparse'] / 1e6:>11,.3f}"
    )
  first = table.iloc[0]
  lines.append(
    f"            of {first['parameters']:,.0f} parameters, "
    f"{first['flops'] / 1e6:,.2f} MFLOP, {first['bytes_float32'] / 1e6:,.3f} "
    "MB as float32; means over seeds"
  )
  lines.append(
    "            masks simulate sparsity: nothing here is smaller or faster "
    "unless a runtime makes use of it"
  )
  return lines


def _shortened(names: list[str], most: int = 8) -> str:
  """The first names, and how many more there are."""
  more = f" and {len(names) - most} more" if len(names) > most else ""
  return (", ".join(names[:most]) + more) or "none"
