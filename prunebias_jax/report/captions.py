"""Words that captions share: what is averaged over, how dots are read."""

from collections.abc import Sequence

from prunebias_jax.analysis.columns import ALL
from prunebias_jax.report.keys import Cell, Population, rows_of
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import METRICS, count_of, listed, percent

MOST_NAMED = 4  # of the members without a value; more are counted


NO_DENSE = "Not available: the run has no dense members."
NO_COMPRESSED = "Not available: the run has no pruned members."
NO_PAIRS = "Not available: no pruned member pairs with a dense one."


def no_difference(source: Source) -> str:
  """Why the sparsest population has no difference from dense; "" if it has."""
  if source.dense is None:
    return NO_DENSE
  if source.sparsest is None:
    return NO_COMPRESSED
  return "" if source.pairs_with(source.sparsest) else NO_PAIRS


def dots(source: Source) -> str:
  """How dots, lines and bars are to be read."""
  if source.most_seeds == 1:
    return "The dots are single members: with one seed there is no interval."
  joined = ", and a faint line joins the members of a seed"
  if source.crossed:
    return (
      "Every dot is one member, every short line the mean. Members share seeds "
      "of a purpose, so there is no interval."
    )
  return (
    f"Every dot is one seed{joined if source.pairs_by_seed else ''}. "
    f"Bars: mean over seeds with its {percent(source.level)} % t interval, "
    "which takes seeds as random and normal, all three splits as fixed; "
    "an arrow where it leaves the plot."
  )


def interval_words(source: Source) -> str:
  """Which interval a mean over seeds has, or that it has none."""
  if source.most_seeds == 1:
    return "without interval, there being one seed"
  if source.crossed:
    return "without interval, as members share seeds of a purpose"
  return (
    f"with its {percent(source.level)} % t interval, which takes seeds as "
    "random and normal, all three splits as fixed"
  )


def drawn(source: Source) -> str:
  """The same where lines go along sparsity."""
  text = dots(source)
  if len({one.series for one in source.compressed}) > 1:
    text += " The dense members stand at the beginning of every line."
  return text


def means_of(source: Source, cells: Sequence[tuple[str, Cell]]) -> str:
  """What is averaged over, for the caption; cells come with their names."""
  plural = "attributes" if source.output == "attribute" else "classes"
  outputs = count_of(len(source.outputs), source.output, plural)
  used: dict[str, dict[str, int]] = {}
  for name, cell in cells:
    # A group of an identity may be empty and have no mean.
    of_name = used.setdefault(name, {})
    most = max(of_name.get(cell.identity, -1), source.used(cell))
    of_name[cell.identity] = most
  partial = [
    f"{name}: "
    + "–".join(dict.fromkeys(str(n or "none") for n in (min(some), max(some))))
    for name, some in ((name, used[name].values()) for name in used)
    if 0 <= min(some) < len(source.outputs)
  ]
  if not partial:
    return f"Means over {outputs}"
  return (
    f"Means over those of the {outputs} that have a value in every model drawn "
    f"({'; '.join(partial)})"
  )


def absent(source: Source, cells: Sequence[tuple[str, Cell]]) -> str:
  """Which members have no value and are not drawn; "" where all have.

  Args:
    source: the numbers.
    cells: what is drawn, with its name; several may share one.

  Returns:
    A sentence that begins with a space, or "".
  """
  names: dict[tuple[Population, tuple[int, ...]], list[str]] = {}
  for name, cell in cells:
    table = source.seeds(cell)
    table = table[table["value"].isna()]
    for population in source.populations:
      without = tuple(rows_of(table, population)["seed"].tolist())
      if without:
        names.setdefault((population, without), []).append(name)
  parts = []
  for (population, seeds), found in names.items():
    who = f"{len(seeds)} of {count_of(source.size(population), 'member')}"
    if len(seeds) < source.size(population) and len(seeds) <= MOST_NAMED:
      who = f"seed{'s' * (len(seeds) > 1)} {listed([*map(str, seeds)])}"
    parts.append(
      f"{population.label}, {who} ({listed([*dict.fromkeys(found)])})"
    )
  if not parts:
    return ""
  return (
    f" Not drawn, having no value: {'; '.join(parts)}. Means and intervals "
    "are those of the seeds that have one, and these differ from the others."
  )


def whole(source: Source, names: tuple[str, ...]) -> str:
  """Which metrics are those of a classifier as a whole, for the caption."""
  whole = [
    METRICS[name].title.lower()
    for name in names
    if source.overall(name).attribute == ALL
  ]
  return f" ({listed(whole)}: over all examples)" if whole else ""
