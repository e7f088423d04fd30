"""Tables as CSV files, the large ones too."""

from pathlib import Path

import pandas as pd


def write_csv(table: pd.DataFrame, path: Path) -> None:
  """Writes a table; a missing number is NaN."""
  table.to_csv(path, index=False, na_rep="NaN")
