"""An analysis as a notebook shows it."""

from collections.abc import Mapping, Sequence
import html

import pandas as pd
import xarray as xr


def analysis_html(
  tables: Mapping[str, pd.DataFrame], arrays: xr.Dataset, notes: Sequence[str]
) -> str:
  """What an analysis holds: its tables, and what is not available.

  Args:
    tables: by name.
    arrays: of the last parameters on test.
    notes: sentences.

  Returns:
    HTML in which all text is escaped.
  """
  rows = [
    {
      "table": name,
      "rows": f"{len(table):,}",
      "columns": ", ".join(map(str, table.columns)),
    }
    for name, table in tables.items()
  ]
  sizes = ", ".join(
    f"{size:,} {name}{'' if size == 1 else 'es' if name == 'class' else 's'}"
    for name, size in arrays.sizes.items()
    if name in ("member", "attribute", "class", "group")
  )
  said = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
  return (
    f"<b>Analysis</b>: {html.escape(sizes)}"
    f"{table_html(pd.DataFrame(rows))}" + (f"<ul>{said}</ul>" if said else "")
  )


def table_html(table: pd.DataFrame, *, header: bool = True) -> str:
  """A small table as HTML, all of its text escaped and none of it cut off."""
  with pd.option_context("display.max_colwidth", None):
    return table.to_html(index=False, header=header, border=0)
