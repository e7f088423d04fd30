"""The exemplars of an analysed run: which cases compression changes."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from prunebias_jax import store
from prunebias_jax.audit.examples import Examples, Population
from prunebias_jax.errors import InputError

EXEMPLARS = "exemplars.csv"
ANALYSIS = "analysis"
# Of the contract in docs/statistics.md, what is used here.
_TEXT = (
  "pruner",
  "quantization",
  "checkpoint",
  "split",
  "example_id",
  "attribute",
)
_NUMBERS = ("sparsity", "taxicab", "excess", "onset", "rank")
_FLAGS = ("is_cie", "control")
_LABELS = ("modal_dense", "modal_compressed")
# Rows read at a time: of a large table most are of other splits.
_CHUNK = 200_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cases:
  """The listed exemplars, controls and ranked examples of one split.

  Attributes:
    table: one row a population, example and question, with the columns row
      and question (places in `Examples`), population (place among its
      populations), taxicab, excess, onset, rank, is_cie, control, modal_dense
      and modal_compressed.
    reason: why it is empty, or "".
  """

  table: pd.DataFrame
  reason: str

  def of(self, population: int, question: int | None = None) -> pd.DataFrame:
    """The rows of one population, of one question or of all."""
    chosen = self.table["population"] == population
    if question is not None:
      chosen &= self.table["question"] == question
    return self.table[chosen]

  def onset(
    self, examples: Examples, population: int, question: int
  ) -> np.ndarray:
    """First sparsity of a lasting flip, whatever the level: [example] or NaN.

    Of the levels of one pruner and quantization, since an example may be
    listed at some of them only.
    """
    mine = examples.populations[population]
    alike = [
      place
      for place, one in enumerate(examples.populations)
      if (one.pruner, one.quantization) == (mine.pruner, mine.quantization)
    ]
    rows = self.table[
      self.table["population"].isin(alike)
      & (self.table["question"] == question)
      & self.table["onset"].notna()
    ]
    found = np.full(len(examples), np.nan)
    found[rows["row"].to_numpy()] = rows["onset"].to_numpy()
    return found


def read_cases(run: store.Run, examples: Examples) -> Cases:
  """Reads the exemplars of the split that is audited.

  Raises:
    InputError: the run has not been analysed, or not as it is now.
  """
  path = run.path / ANALYSIS / EXEMPLARS
  if not path.exists():
    require_analysis(run)
    raise InputError(
      f"{path} not found: the analysis is older than the audit; run: prunebias "
      f"analyze {run.path}"
    )
  dtypes: dict[str, Any] = {
    **dict.fromkeys((*_TEXT, *_FLAGS), str),
    **dict.fromkeys((*_NUMBERS, *_LABELS), float),
  }
  try:
    with pd.read_csv(
      path,
      usecols=list(dtypes),
      dtype=dtypes,
      keep_default_na=False,
      na_values={name: ["NaN", ""] for name in (*_NUMBERS, *_LABELS)},
      chunksize=_CHUNK,
    ) as chunks:
      parts = [
        _placed(_of_split(part, examples.split), examples, str(path))
        for part in chunks
      ]
  except InputError:
    raise
  except (ValueError, OSError) as error:
    raise InputError(
      f"{path} cannot be read: {' '.join(str(error).split())}; run: prunebias "
      f"analyze {run.path}"
    ) from None
  table = pd.concat(parts, ignore_index=True)
  reason = ""
  if table.empty:
    reason = (
      f"there are no exemplars on the {examples.split} split: dense and "
      "compressed models agree, or the run has nothing to compare"
    )
  return Cases(table=table, reason=reason)


def require_analysis(run: store.Run) -> None:
  """Refuses a run that has not been analysed."""
  if not (run.path / ANALYSIS / "notes.json").exists():
    raise InputError(
      f"{run.path} has not been analysed; run: prunebias analyze {run.path}"
    )


def _of_split(table: pd.DataFrame, split: str) -> pd.DataFrame:
  """The rows of the audited split, of the last parameters."""
  chosen = (table["split"] == split) & (table["checkpoint"] == "last")
  return table[chosen].reset_index(drop=True)


def _placed(table: pd.DataFrame, examples: Examples, path: str) -> pd.DataFrame:
  """The table with places in place of names."""
  rows = pd.Series(np.arange(len(examples)), index=examples.ids)
  questions = {name: place for place, name in enumerate(examples.questions)}
  populations = {one: place for place, one in enumerate(examples.populations)}
  # A few populations have many rows each.
  keys = [*Population._fields]
  number = table.groupby(keys, dropna=False).ngroup().to_numpy()
  _, first = np.unique(number, return_index=True)
  of_number = [
    populations.get(Population(*key), -1)
    for key in table.iloc[first][keys].itertuples(index=False, name=None)
  ]
  found = pd.DataFrame(
    {
      "population": np.array(of_number, int)[number],
      "row": rows.reindex(table["example_id"]).to_numpy(float),
      "question": table["attribute"].map(questions).to_numpy(float),
      **{
        name: table[name].to_numpy()
        for name in (*_NUMBERS, *_LABELS)
        if name != "sparsity"
      },
      **{name: table[name].isin(("True", "1")).to_numpy() for name in _FLAGS},
    }
  )
  strange = found["row"].isna() | found["question"].isna()
  strange |= found["population"] < 0
  if strange.any():
    one = table.loc[strange.to_numpy()].iloc[0]
    raise InputError(
      f"{path} tells of example {one['example_id'][:60]!r}, attribute "
      f"{one['attribute'][:60]!r}, {one['pruner']} at sparsity "
      f"{one['sparsity']:g}, which the run does not have; analyse it again"
    )
  return found.astype({"row": np.int64, "question": np.int64})
