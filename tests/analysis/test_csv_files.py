from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prunebias_jax.analysis import csv_files
from prunebias_jax.analysis.csv_files import write_csv


def test_writes_what_pandas_writes(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(csv_files, "ROWS", 100)
  rng = np.random.default_rng(0)
  rows = 307  # in parts, the last one shorter
  table = pd.DataFrame(
    {
      "text": rng.choice(["", "a,b", 'say "x"', "two\nlines", "NaN"], rows),
      "object": np.full(rows, "dense", object),
      "number": rng.choice([1e-300, 1.0, -0.0, 1 / 3, np.nan, np.inf], rows),
      "small": rng.random(rows).astype(np.float32).astype(float),
      "whole": np.arange(rows, dtype=np.int32),
      "maybe": pd.array(rng.choice([1, 2, None], rows), "Int64"),
      "truth": rng.random(rows) < 0.5,
    }
  )
  write_csv(table, tmp_path / "ours.csv")
  table.to_csv(tmp_path / "theirs.csv", index=False, na_rep="NaN")
  ours = (tmp_path / "ours.csv").read_bytes()
  # One value of two zeros is kept by its first.
  theirs = (tmp_path / "theirs.csv").read_bytes()
  assert ours.replace(b"-0.0", b"0.0") == theirs.replace(b"-0.0", b"0.0")


@pytest.mark.parametrize("columns", [["a"], ["a", "b"]])
def test_no_rows(tmp_path: Path, columns: list[str]) -> None:
  write_csv(pd.DataFrame(columns=columns), tmp_path / "empty.csv")
  assert (tmp_path / "empty.csv").read_text() == ",".join(columns) + "\n"
