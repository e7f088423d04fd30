"""Groups: their rates against sparsity, and the table of all of them."""

import dataclasses

from prunebias_jax.analysis.bias import FEW_POSITIVES
from prunebias_jax.report.captions import drawn, means_of
from prunebias_jax.report.page import Figure, Fragment, Section, slug_of
from prunebias_jax.report.panels import (
  NO_IDENTITIES,
  Line,
  Request,
  lines_of,
  sparsity_panels,
)
from prunebias_jax.report.sections.groups.fairness import (
  MOST,
  fairness_figure,
  main_line,
  series_drawn,
  single_identities,
  threshold_figure,
)
from prunebias_jax.report.sections.groups.forests import (
  changes_figure,
  crossings_table,
  worst_figure,
)
from prunebias_jax.report.sections.groups.table import (
  RATES,
  group_rows,
  is_few,
  span_text,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import ERROR, METRICS, percent


def section(source: Source) -> Section:
  """Error, false positive and false negative rates of every group."""
  arrays = source.analysis.arrays
  return Section(
    slug="groups",
    title="Which groups bear the errors?",
    short="Groups",
    parts=(
      groups_figure(source),
      changes_figure(source),
      worst_figure(source),
      fairness_figure(source),
      threshold_figure(source),
      Fragment(
        template="groups.html",
        values={
          "groups": group_rows(source),
          "level": percent(source.level),
          "output": source.output,
          "rates": RATES,
          "few": FEW_POSITIVES,
          "sparsest": source.sparsest,
          "unlabelled": "n_missing" in arrays
          and bool(arrays["n_missing"].any()),
        },
      ),
      crossings_table(source),
    ),
  )


def groups_figure(source: Source) -> Figure:
  """Error, FPR and FNR of every group, a row of panels for each identity."""
  title = "Rates of every group"
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
  singles = single_identities(source)
  crowded = not all(_has_room(source, one) for one in singles)
  caption = (
    f"Error: share {error}; false positive rate: share of the "
    "negatives that are predicted positive; false negative rate: share of the "
    f"positives that are predicted negative. {means_of(source, cells)}"
    f"{' (error: over all examples)' if source.output == 'class' else ''}. "
    f"{_group_sizes(source)} {drawn(source)} "
    "The panels of a metric have one vertical axis."
    f"{series_drawn(source) * crowded}"
  )
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
          slug=slug_of("groups", str(place), identity[:30], metric.title),
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


def _group_lines(source: Source, metric: str, identity: str) -> list[Line]:
  """A line for each value of an identity, pruner and quantization.

  Where that would be too many, only those of the sparsest population.
  """
  values = [value for name, value in source.groups if name == identity]
  if not _has_room(source, identity):
    return [
      main_line(
        source,
        source.overall(metric, identity=identity, value=value),
        source.group_name(identity, value)
        + "*" * is_few(source.counts(identity, value)),
      )
      for value in sorted(values, reverse=True)
    ]
  several = len({one.series for one in source.compressed}) > 1
  ending = ", {}" if several else ""
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


def _has_room(source: Source, identity: str) -> bool:
  """Whether a panel can hold the lines of all pruners and quantizations."""
  values = [value for name, value in source.groups if name == identity]
  series = len(lines_of(source, source.overall("accuracy")))
  return series * len(values) <= MOST
