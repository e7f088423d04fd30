"""How much of what differs between seeds another test set would draw anew."""

from collections.abc import Sequence
import math

import numpy as np
import pandas as pd

from prunebias_jax.report.page import (
  Figure,
  Panel,
  Row,
  Table,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.panels import NO_IDENTITIES
from prunebias_jax.report.plots import Part, shares
from prunebias_jax.report.sections.variance.cells import (
  MOST,
  MOST_ROWS,
  ONE_SEED,
  Numbers,
  Shown,
  amplifications,
  averaged,
  of_population,
  overall,
  rates,
  records,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import NOT_AVAILABLE, number

PARTS = {
  "var_test_set": "drawn anew by another test set",
  "var_distribution": "of the models themselves",
}
EXPLAINED = (
  "Two models that are equally good on all the pictures there could ever be "
  "still score differently on these: each has its own lucky and unlucky "
  "pictures. With another test set that luck would fall otherwise. The "
  "variance between seeds is therefore taken apart: a part that another test "
  "set of this size would draw anew, and a part that would stay on an endless "
  "one, and is a difference between the models themselves. Only the second "
  "says that a seed is better than another."
)
BELOW_ZERO = (
  "Both parts are estimates. The second is the variance that was seen minus "
  "the first: where models hardly differ it comes out below 0 about half of "
  "the time. It is shown as it is, to the left of 0, with the first part then "
  "above 100 %; to cut it off would make it too large on average. Read it as "
  "“no difference between the models was seen”."
)


def part_numbers(source: Source, shown: Shown) -> pd.DataFrame:
  """The decomposition of the table "variance", a row a population.

  Returns:
    The cell, the populations' key, n_seeds, averaged, the three variances in
    the tables' units, the shares of both parts in per cent, and the reason.
  """
  rows = []
  found = source.summary(shown.cell)
  for population in source.populations:
    if population not in found:
      continue
    row = found[population]
    whole = row["var_observed"]
    rows.append(
      {
        "name": shown.name,
        **shown.cell._asdict(),
        **population._asdict(),
        "n_seeds": row["n_seeds"],
        "averaged": averaged(row),
        "var_observed": whole,
        **{name: row[name] for name in PARTS},
        **{
          f"share_{name.removeprefix('var_')}": (
            100 * row[name] / whole if whole > 0 else np.nan
          )
          for name in PARTS
        },
        "reason": row["reason"],
      }
    )
  return pd.DataFrame(rows)


def part_figures(source: Source) -> list[Figure]:
  """Of the whole, and of bias amplification."""
  return [
    _figure(
      source,
      "decomposition",
      "Luck of the test set, or a difference between models?",
      overall(source),
      f"{EXPLAINED} {BELOW_ZERO} ",
    ),
    _figure(
      source,
      "decomposition-bias",
      "The same of bias amplification",
      amplifications(source),
      "Read as the figure before. ",
    ),
  ]


def _figure(
  source: Source, slug: str, title: str, cells: Sequence[Shown], words: str
) -> Figure:
  caption = words + (
    "Each bar is the variance over the seeds of one population, cut into both "
    "parts; their sum is 100 %; an arrow where it leaves the plot. "
    "Estimated over seeds, with one training and validation set; there is no "
    "interval, and with few seeds the shares are rough. At the right the "
    "outputs that a mean goes over, where some have no "
    "value in every seed: bars of different outputs are not to be compared."
  )
  reason = ONE_SEED if source.most_seeds == 1 else ""
  if not reason and not cells:
    reason = NO_IDENTITIES
  if reason:
    return Figure(slug=slug, title=title, caption=caption, reason=reason)
  if len(cells) > MOST:
    caption += f" The first {MOST} of {len(cells)} are drawn."
  caption += _missing(pd.concat([part_numbers(source, one) for one in cells]))
  panels = tuple(
    _panel(source, slug_of(slug, str(place)), one)
    for place, one in enumerate(cells[:MOST], 1)
  )
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def _panel(source: Source, slug: str, shown: Shown) -> Panel:
  data = part_numbers(source, shown)
  known = data[np.isfinite(data["share_test_set"])] if len(data) else data
  if known.empty:
    return Panel(slug=slug, title=shown.name, reason=_why(data))
  labels = [_label(row) for row in records(data)]
  rows = data.iloc[:MOST_ROWS]
  notes = [
    f"{row['averaged']}" if np.isfinite(row["share_test_set"]) else "n/a"
    for row in records(rows)
  ]
  alt = f"{shown.name}: share of the variance over seeds that another test set "
  alt += "would draw anew. " + ", ".join(
    f"{label}: {number(share, 0)} %"
    for label, share in zip(labels, data["share_test_set"], strict=True)
    if np.isfinite(share)
  )
  missing = len(data) - len(known)
  if missing:
    alt += f". {missing} populations have none."
  return draw_panel(
    lambda: shares(
      labels[:MOST_ROWS],
      [
        Part(label=label, share=rows[column].to_numpy(np.float64))
        for column, label in (
          ("share_test_set", "luck of the test set"),
          ("share_distribution", "models themselves"),
        )
      ],
      shown.name,
      along="share of the variance over seeds (%)",
      notes=notes if any(notes) else (),
    ),
    slug=slug,
    title=shown.name,
    alt=alt,
    data=data,
  )


def _label(row: Numbers) -> str:
  if row["pruner"] == "dense" and row["sparsity"] == 0:
    return (
      "dense" if row["quantization"] == "none" else f"{row['quantization']}"
    )
  kind = "" if row["quantization"] == "none" else f", {row['quantization']}"
  share = row["sparsity"]
  return f"{round(100 * share, 6):g} % {row['pruner']}{kind}"


def _missing(data: pd.DataFrame) -> str:
  """What n/a stands for, in the words of the table."""
  unknown = data[~np.isfinite(data["share_test_set"])]
  words = dict.fromkeys(
    part.partition("not available: ")[2] or part
    for reason in unknown["reason"]
    for part in str(reason).split("; ")
    if "not available" in part or "no interval" in part
  )
  if not words:
    return ""
  text = f" n/a, in the words of variance.csv: {'; '.join(words)}."
  if "halves" in text:
    text += (
      " (It takes the test set in halves, and an output that is rarely "
      "predicted has no bias amplification on most of them.)"
    )
  return text


def _why(data: pd.DataFrame) -> str:
  """Why no population has a decomposition, in the words of the table."""
  reasons = list(dict.fromkeys(one for one in data.get("reason", ()) if one))
  text = "; ".join(reasons) or "no population has a value"
  text = text.removeprefix("not available: ")
  return f"Not available: {text}."


def part_table(source: Source) -> Table:
  """The decomposition in numbers: of the whole, of bias, of groups' rates."""
  cells = [*overall(source), *amplifications(source), *rates(source)]
  numbers = [part_numbers(source, one) for one in cells]
  by_name = {one.name: one for one in cells}
  data = pd.concat(numbers, ignore_index=True)
  bands = []
  for population in source.populations if len(data) else ():
    own = of_population(data, population)
    rows = tuple(_row(by_name[row["name"]], row) for row in records(own))
    bands.append((population.label, rows))
  return Table(
    slug="decomposition",
    title="The decomposition in numbers, with the groups' error rates",
    head=(
      "Number",
      "Seeds",
      "Variance over seeds",
      "Luck of the test set",
      "Models themselves",
      "Luck’s share",
    ),
    bands=tuple(bands),
    note="Variances are in squared units: points², or plain for AUC and TCB. "
    "Gaps between groups are no means over examples and cannot be taken apart; "
    "their groups' rates can. n/a: see the column `reason` of variance.csv.",
    reason=ONE_SEED if source.most_seeds == 1 else "",
    folded=True,
  )


def _row(shown: Shown, row: Numbers) -> Row:
  used = str(row["averaged"])
  share = row["share_test_set"]
  square = shown.metric.scale**2
  return (
    f"{shown.name}{f' (mean over {used})' if used else ''}",
    str(row["n_seeds"]),
    *(short(row[name] * square) for name in ("var_observed", *PARTS)),
    f"{number(share, 0)} %" if math.isfinite(share) else NOT_AVAILABLE,
  )


def short(value: float) -> str:
  """A number of any size in three digits."""
  if not math.isfinite(value):
    return NOT_AVAILABLE
  return f"{value:.3g}".replace("-", "−")
