"""What a page is made of: sections, and in them figures, tables and text."""

from collections.abc import Callable, Sequence
import dataclasses
import re
from typing import ClassVar

from matplotlib.figure import Figure as Drawing
import pandas as pd

from prunebias_jax.report.drawing import (
  FORMATS,
  drawing_style,
  inlined,
  to_bytes,
  to_svg,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
  """One drawing with its words and numbers, or why there is none.

  Attributes:
    slug: distinct in the report; the name of its files and of its ids.
    title: what it shows.
    alt: what there is to see, for those who cannot.
    svg: the drawing as a document; "" where there is none.
    drawing: the same, to be saved in other formats.
    data: its numbers; none where there is no drawing.
    reason: why it cannot be drawn; "" where it is.
  """

  slug: str
  title: str
  alt: str = ""
  svg: str = ""
  drawing: Drawing | None = None
  data: pd.DataFrame | None = None
  reason: str = ""

  @property
  def inline(self) -> str:
    """The drawing as an element of the page."""
    return inlined(self.svg, self.alt)

  def files(self, formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """The drawing by suffix: "svg", "pdf", "png"."""
    if self.drawing is None:
      return {}
    return {
      kind: self.svg.encode() if kind == "svg" else to_bytes(self.drawing, kind)
      for kind in formats
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
  """Panels under one title and caption.

  Attributes:
    slug: distinct in the report.
    title: what is asked of it.
    caption: what is drawn, and how it was computed.
    panels: in reading order.
    reason: why there is no panel at all; "" where there are some.
  """

  template: ClassVar[str] = "figure.html"

  slug: str
  title: str
  caption: str
  panels: tuple[Panel, ...] = ()
  reason: str = ""

  @property
  def wide(self) -> bool:
    """Whether the panels stand two in a row."""
    return len(self.panels) in (1, 2, 4)


Row = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
  """A table of texts.

  Attributes:
    slug: distinct in the report.
    title: what it holds.
    head: the columns' names.
    bands: rows under a heading; "" for rows without one. The first cell of a
      row is its name.
    texts: how many of the first columns are words; the others are numbers,
      and stand to the right.
    note: how it is to be read, below it.
    reason: why there is no table; "" where there is one.
    folded: whether the reader opens it.
  """

  template: ClassVar[str] = "table.html"

  slug: str
  title: str
  head: Row = ()
  bands: tuple[tuple[str, tuple[Row, ...]], ...] = ()
  texts: int = 1
  note: str = ""
  reason: str = ""
  folded: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fragment:
  """A part with a template of its own.

  Attributes:
    template: its name.
    values: what the template is filled with.
  """

  template: str
  values: dict[str, object]


Part = Figure | Table | Fragment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
  """A chapter of the page.

  Attributes:
    slug: distinct in the report.
    title: its heading.
    short: the same in the list of contents.
    text: paragraphs before the parts.
    parts: in reading order.
  """

  slug: str
  title: str
  short: str
  text: tuple[str, ...] = ()
  parts: tuple[Part, ...] = ()


def draw_panel(
  make: Callable[[], Drawing],
  *,
  slug: str,
  title: str,
  alt: str,
  data: pd.DataFrame,
  axis: str = "",
) -> Panel:
  """Draws a panel in the report's style.

  Args:
    make: draws, with functions of `report.plots`.
    slug: see `Panel`.
    title: of the panel.
    alt: what there is to see.
    data: the numbers that are drawn.
    axis: the title within the drawing's document; `title` unless given.
  """
  with drawing_style():
    drawing = make()
    svg = to_svg(drawing, slug=slug, title=axis or title, alt=alt)
  return Panel(
    slug=slug, title=title, alt=alt, svg=svg, drawing=drawing, data=data
  )


def slug_of(*parts: str) -> str:
  """A file name and id from free text: lower case ASCII, digits, hyphens."""
  text = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
  return text[:60] or "figure"
