"""The figures against sparsity: which panels, under which words."""

from collections.abc import Sequence
import dataclasses

from prunebias_jax.analysis.bias import FEW_POSITIVES
from prunebias_jax.analysis.columns import ALL
from prunebias_jax.report.group_table import is_few, span_text
from prunebias_jax.report.panels import (
  NO_IDENTITIES,
  Figure,
  Line,
  Request,
  lines_of,
  slug_of,
  sparsity_panels,
)
from prunebias_jax.report.source import Cell, Source
from prunebias_jax.report.vocabulary import (
  ERROR,
  METRICS,
  count_of,
  listed,
  percent,
)

ONLY_ATTRIBUTES = (
  "Not available: interdependence is defined between attributes that are "
  "predicted together, and this run predicts exclusive classes."
)


def right_figure(source: Source) -> Figure:
  """How often the models are right."""
  names = (
    ("accuracy", "balanced_accuracy", "auc")
    if source.output == "attribute"
    else ("accuracy", "recall", "auc")
  )
  return _metrics_figure(
    source, names, slug="performance", title="How often are the models right?"
  )


def certain_figure(source: Source) -> Figure:
  """How certain the models are."""
  return _metrics_figure(
    source,
    ("uncertainty", "entropy", "ece"),
    slug="certainty",
    title="How certain are they?",
  )


def linked_figure(source: Source) -> Figure:
  """How the predictions depend on each other, and their rates."""
  return _metrics_figure(
    source,
    # Exclusive classes are always predicted for 1 in C examples on average.
    ("interdependence", "tcb")
    + ("predicted_positive",) * (source.output == "attribute"),
    slug="dependence",
    title="Do predictions lean on each other, and are rare values forgotten?",
  )


def bias_figure(source: Source) -> Figure:
  """Bias amplification against sparsity, a panel for each identity."""
  metric = METRICS["bias_amplification"]
  title = "Are the correlations with identity exaggerated?"
  cells = [
    (
      source.group_name(identity, value),
      Cell(metric.name, identity=identity, value=value),
    )
    for identity, value in source.pairs
  ]
  caption = (
    f"Bias amplification: {metric.meaning}. {_means(source, cells)}. "
    f"{drawn(source)} All panels have one vertical axis."
  )
  if not source.pairs:
    return Figure(
      slug="bias", title=title, caption=caption, reason=NO_IDENTITIES
    )
  requests = [
    Request(
      metric=metric,
      lines=lines_of(source, cell),
      slug=slug_of("bias", str(place), name),
      title=name,
      axis=f"{metric.title}: {name}",
      reference=0,
    )
    for place, (name, cell) in enumerate(cells, 1)
  ]
  panels = sparsity_panels(source, requests, shared=True)
  return Figure(slug="bias", title=title, caption=caption, panels=panels)


def groups_figure(source: Source) -> Figure:
  """Error, FPR and FNR of every group, a row of panels for each identity."""
  title = "Which groups bear the errors?"
  metrics = (
    ERROR,
    METRICS["false_positive_rate"],
    METRICS["false_negative_rate"],
  )
  cells = [
    (
      metric.title,
      source.overall(metric.name, identity=identity, value=value),
    )
    for identity, value in source.groups
    for metric in metrics
    if identity and "*" not in identity
  ]
  error = (
    "of wrong predictions"
    if source.output == "attribute"
    else "of examples whose likeliest class is wrong"
  )
  caption = (
    f"Error: share {error}; false positive rate: share of the "
    "negatives that are predicted positive; false negative rate: share of the "
    f"positives that are predicted negative. {_means(source, cells)}"
    f"{' (error: over all examples)' if source.output == 'class' else ''}. "
    f"{_group_sizes(source)} {drawn(source)} "
    "The panels of a metric have one vertical axis."
  )
  identities = list(
    dict.fromkeys(identity for identity, _ in source.groups if identity)
  )
  singles = [name for name in identities if "*" not in name]
  if not singles:
    return Figure(
      slug="groups", title=title, caption=caption, reason=NO_IDENTITIES
    )
  columns = [
    sparsity_panels(
      source,
      [
        Request(
          metric=metric,
          lines=_group_lines(source, metric.name, identity),
          slug=slug_of("groups", str(place), identity, metric.title),
          title=f"{identity}: {metric.title}",
          axis=metric.title,
        )
        for place, identity in enumerate(singles, 1)
      ],
      shared=True,
    )
    for metric in metrics
  ]
  panels = tuple(panel for row in zip(*columns, strict=True) for panel in row)
  return Figure(slug="groups", title=title, caption=caption, panels=panels)


def dots(source: Source) -> str:
  """How dots, lines and bars are to be read."""
  if source.most_seeds == 1:
    return "The dots are single members: with one seed there is no interval."
  joined = ", and a faint line joins the members of a seed"
  return (
    f"Every dot is one seed{joined if source.pairs_by_seed else ''}. "
    f"Bars: mean over seeds with its {percent(source.level)} % t interval, "
    "which takes seeds as random and normal, all three splits as fixed; "
    "an arrow where it leaves the plot."
  )


def drawn(source: Source) -> str:
  """The same where lines go along sparsity."""
  text = dots(source)
  if len({one.series for one in source.compressed}) > 1:
    text += " The dense members stand at the beginning of every line."
  return text


def _metrics_figure(
  source: Source, names: tuple[str, ...], *, slug: str, title: str
) -> Figure:
  """One panel for each metric, over all outputs."""
  metrics = [METRICS[name] for name in names]
  requests = [
    Request(
      metric=metric,
      lines=lines_of(source, source.overall(metric.name)),
      slug=slug_of(slug, metric.name),
      reference=1 if metric.name == "tcb" else None,
    )
    for metric in metrics
  ]
  if source.output == "class":
    requests = [
      dataclasses.replace(one, reason=ONLY_ATTRIBUTES)
      if one.metric.name == "interdependence"
      else one
      for one in requests
    ]
  panels = sparsity_panels(source, requests)
  meanings = " ".join(f"{one.title}: {one.meaning}." for one in metrics)
  cells = [(METRICS[name].title, source.overall(name)) for name in names]
  caption = (
    f"{meanings} {_means(source, cells)}{_whole(source, names)}. "
    f"{drawn(source)}"
  )
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def _means(source: Source, cells: Sequence[tuple[str, Cell]]) -> str:
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


def _group_sizes(source: Source) -> str:
  """The groups' positives and negatives, for the caption."""
  singles = [
    (identity, value)
    for identity, value in source.groups
    if identity and "*" not in identity
  ]
  sizes = [
    f"{source.group_name(*group)} "
    + " and ".join(span_text(span) for span in source.counts(*group))
    for group in singles
  ]
  text = (
    f"Positives and negatives, the smallest to the largest over these "
    f"{'attributes' if source.output == 'attribute' else 'classes'}: "
    f"{'; '.join(sizes)}."
  )
  if any(is_few(source.counts(*group)) for group in singles):
    text += (
      f" An asterisk marks groups with fewer than {FEW_POSITIVES} of either "
      "somewhere: their rates go in large steps."
    )
  return text


def _whole(source: Source, names: tuple[str, ...]) -> str:
  """Which metrics are those of a classifier as a whole, for the caption."""
  whole = [
    METRICS[name].title.lower()
    for name in names
    if source.overall(name).attribute == ALL
  ]
  return f" ({listed(whole)}: over all examples)" if whole else ""


def _group_lines(source: Source, metric: str, identity: str) -> list[Line]:
  """A line for each value of an identity, pruner and quantization."""
  several = len({one.series for one in source.compressed}) > 1
  ending = ", {}" if several else ""
  values = [value for name, value in source.groups if name == identity]
  return [
    dataclasses.replace(
      line,
      label=source.group_name(identity, value)
      + "*" * is_few(source.counts(identity, value))
      + ending.format(line.label),
    )
    for value in sorted(values, reverse=True)
    for line in lines_of(
      source, source.overall(metric, identity=identity, value=value)
    )
  ]
