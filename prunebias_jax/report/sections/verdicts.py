"""What people said of exemplars and of controls, where they were asked."""

from collections import Counter
from collections.abc import Sequence
import math

import numpy as np
import pandas as pd

from prunebias_jax.audit.agreement import LEVEL, agreements, rates
from prunebias_jax.audit.contamination import contamination
from prunebias_jax.audit.log import Identity, log_path, read_log
from prunebias_jax.audit.records import ARMS, VERDICTS, Record
from prunebias_jax.errors import InputError
from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import Figure, Part, Section, Table, draw_panel
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  METRICS,
  NOT_AVAILABLE,
  count_of,
  listed,
  number,
  percent,
)

SPLITS = ("valid", "test")
FEW = 10  # verdicts: arms of fewer are marked
_ARMS = {"exemplar": "exemplars", "control": "controls", "rest": "other ranks"}
_SHARE = METRICS["accuracy"]


def section(source: Source) -> Section:
  """Verdict rates of exemplars and controls, and how reviewers agree."""
  parts: list[Part] = []
  for split in SPLITS:
    if split == SPLITS[0] or log_path(source.run, split).exists():
      parts += _parts(source, split)
  return Section(
    slug="verdicts",
    title="What do people see in the exemplars?",
    short="Verdicts",
    text=_warnings(source),
    parts=tuple(parts),
  )


def _warnings(source: Source) -> tuple[str, ...]:
  """What was looked at is no longer unseen."""
  try:
    return tuple(contamination(source.run))
  except InputError:
    return ()  # said where the verdicts would be


def _parts(source: Source, split: str) -> list[Part]:
  """Figure and tables of one split's verdicts, or why there are none."""
  slug, title = f"verdicts-{split}", f"Verdicts on the {split} split"
  try:
    verdicts = read_verdicts(source, split)
  except InputError as error:
    # The page may be sent to someone: no path of this machine in it.
    reason = str(error).replace(f"{source.run.path}/", "")
    return [
      Figure(
        slug=slug, title=title, caption="", reason=f"Not available: {reason}."
      )
    ]
  if not verdicts:
    reason = (
      "Not available: nobody has judged an example of this split. The command "
      "prunebias audit RUN begins an audit, in which people judge exemplars "
      "among controls without knowing which is which."
    )
    return [Figure(slug=slug, title=title, caption="", reason=reason)]
  table = pd.DataFrame(rates(verdicts))
  return [
    _rates_figure(table, verdicts, slug, title),
    _rates_table(table, slug, split),
    _agreement_table(verdicts, slug, split),
  ]


def read_verdicts(source: Source, split: str) -> list[Record]:
  """The verdicts that stand.

  Raises:
    InputError: the log is damaged, or another run's.
  """
  path = log_path(source.run, split)
  if not path.exists():
    return []
  labels = source.run.split(split).attrs["labels_sha256"]
  _, ledger = read_log(path, Identity.of(source.run, labels))
  return ledger.verdicts()


def _rates_figure(
  table: pd.DataFrame, verdicts: Sequence[Record], slug: str, title: str
) -> Figure:
  """A row for each verdict, in it the share of every arm."""
  caption = _caption(verdicts)
  judged = table[table["total"] > 0]
  if judged.empty:
    return Figure(
      slug=slug,
      title=title,
      caption=caption,
      reason="Not available: no verdict is blind and from a queue.",
    )
  points, said = [], []
  for arm in dict.fromkeys(judged["arm"]):
    rows = judged[judged["arm"] == arm]
    total = int(rows["total"].iloc[0])
    label = f"{_ARMS[arm]}{'*' * (total < FEW)} (n = {total:,})"
    share, low, high = (
      100 * rows[name].to_numpy(np.float64) for name in ("share", "low", "high")
    )
    points.append(Points(label=label, value=share, low=low, high=high))
    said.append(
      f"{label}: "
      + ", ".join(
        f"{VERDICTS[verdict]} {number(one, 1)}"
        for verdict, one in zip(rows["verdict"], share, strict=True)
      )
    )
  heading = "Verdicts (% of those of an arm)"
  panel = draw_panel(
    lambda: forest(
      [VERDICTS[verdict] for verdict in VERDICTS],
      points,
      heading,
      along="share of the verdicts (%)",
    ),
    slug=slug,
    title=heading,
    alt=f"{heading}. {'; '.join(said)}.",
    data=table,
  )
  return Figure(slug=slug, title=title, caption=caption, panels=(panel,))


def _caption(verdicts: Sequence[Record]) -> str:
  """What was counted, what was not, and from which queues."""
  used = [one for one in verdicts if one.blind and one.arm in ARMS[:-1]]
  left = len(verdicts) - len(used)
  reviewers = {one.reviewer for one in used}
  queues = Counter(
    Population(one.pruner, one.sparsity, one.quantization)
    for one in used
    if not math.isnan(one.sparsity)
  )
  named = [
    f"{one.label} ({count:,})"
    for one, count in sorted(queues.items(), key=lambda pair: pair[0].sparsity)
  ]
  return (
    f"{count_of(len(used), 'blind verdict')} of "
    f"{count_of(len(reviewers), 'reviewer')}"
    + (f", from the queue of {listed(named)}. " if named else ". ")
    + "Exemplars are cases whose modal label changes; controls were drawn "
    "among those that neither change nor are queued, and shown among them "
    "unmarked; other ranks are queued without being exemplars. Bars: Wilson's "
    f"{percent(LEVEL)} % interval, which takes verdicts as independent: where "
    "several people judge one case, or one person judges all, it is too short. "
    "It says nothing of other seeds or other people. A difference between "
    "exemplars and controls is no proof that compression causes it: exemplars "
    "are hard examples."
    + (
      f" Not counted: {count_of(left, 'verdict')} of someone who had seen what "
      "the models say, or from outside a queue."
      if left
      else ""
    )
    + (
      f" An asterisk marks fewer than {FEW} verdicts."
      if len(used) and _has_few(used)
      else ""
    )
  )


def _has_few(used: Sequence[Record]) -> bool:
  return min(Counter(one.arm for one in used).values()) < FEW


def _rates_table(table: pd.DataFrame, slug: str, split: str) -> Table:
  """The counts behind the figure."""
  bands = []
  for arm in dict.fromkeys(table["arm"]):
    rows = table[table["arm"] == arm]
    total = int(rows["total"].iloc[0])
    bands.append(
      (
        f"{_ARMS[arm].capitalize()}, n = {total:,}",
        tuple(
          (
            VERDICTS[row["verdict"]],
            f"{row['count']:,}",
            _SHARE.text(row["share"]),
            f"{_SHARE.text(row['low'])} to {_SHARE.text(row['high'])}"
            if total
            else NOT_AVAILABLE,
          )
          for row in rows.to_dict("records")
        ),
      )
    )
  return Table(
    slug=f"{slug}-counts",
    title=f"Verdicts on {split}, counted",
    head=("Verdict", "Number", "Share, %", f"{percent(LEVEL)} % interval"),
    bands=tuple(bands),
    folded=True,
    note="Blind verdicts from a queue, each reviewer's counting once.",
  )


def _agreement_table(
  verdicts: Sequence[Record], slug: str, split: str
) -> Table:
  """Cohen's kappa of every two reviewers."""
  title = f"Do reviewers agree on {split}?"
  found = agreements(verdicts)
  if not found:
    return Table(
      slug=f"{slug}-agreement",
      title=title,
      reason="Not available: one reviewer.",
    )
  reasons = sorted({one["reason"] for one in found if one["reason"]})
  return Table(
    slug=f"{slug}-agreement",
    title=title,
    head=("Reviewers", "Cases of both", "Agreed", "Cohen's kappa"),
    bands=(
      (
        "",
        tuple(
          (
            f"{one['first']}, {one['second']}",
            f"{one['cases']:,}",
            f"{one['agreed']:,}",
            number(one["kappa"], 2),
          )
          for one in found
        ),
      ),
    ),
    note=(
      "Of all verdicts that stand, blind or not. Kappa: 1 is full agreement, 0 "
      "what two would share who guess at the rates of these; no interval."
      + (f" {NOT_AVAILABLE}: {'; '.join(reasons)}." if reasons else "")
    ),
  )
