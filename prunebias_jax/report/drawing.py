"""Files from matplotlib: the same bytes every time, SVG fit to be inlined."""

from collections.abc import Iterator
import contextlib
import io
import re
import unicodedata
import warnings
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure
import matplotlib.style

from prunebias_jax.report.palette import LIGHT, themed

WIDTH = 340  # of a panel, in points of the drawing: pixels on a phone
FONT = "DejaVu Sans"  # comes with matplotlib: measured alike everywhere
FONTS = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
TEXT = 10.5
SMALL = 9.5
_NAMESPACES = {
  "": "http://www.w3.org/2000/svg",
  "xlink": "http://www.w3.org/1999/xlink",
}
_SVG = f"{{{_NAMESPACES['']}}}"
_POINTS_PER_INCH = 72
_STYLE = {
  "svg.fonttype": "none",
  "svg.hashsalt": "prunebias_jax",
  "pdf.fonttype": 42,
  "text.parse_math": False,  # a name may hold a dollar sign
  "text.usetex": False,
  "font.family": FONT,
  "font.size": TEXT,
  "axes.titlesize": TEXT,
  "axes.labelsize": TEXT,
  "axes.edgecolor": LIGHT["muted"],
  "axes.labelcolor": LIGHT["muted"],
  "axes.titlecolor": LIGHT["ink"],
  "axes.linewidth": 0.8,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.unicode_minus": True,
  "axes.axisbelow": True,
  "xtick.color": LIGHT["muted"],
  "ytick.color": LIGHT["muted"],
  "xtick.labelsize": TEXT,
  "ytick.labelsize": TEXT,
  "text.color": LIGHT["ink"],
  "grid.color": LIGHT["grid"],
  "grid.linewidth": 0.8,
}
_NO_METADATA: dict[str, dict[str, str | None]] = {
  "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
  "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
  "png": {"Software": None},
}
FORMATS = ("svg", "pdf", "png")
_DOTS_PER_INCH = 300


@contextlib.contextmanager
def drawing_style() -> Iterator[None]:
  """Matplotlib's own defaults and this report's, whatever the user has set."""
  with (
    matplotlib.style.context(["default", _STYLE]),
    warnings.catch_warnings(),
  ):
    # The text stays text: the browser has the glyphs that this font lacks.
    warnings.filterwarnings("ignore", message="Glyph .* missing from font")
    yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
  """An empty figure, in points."""
  return Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH))


def to_svg(figure: Figure, *, slug: str, title: str, alt: str) -> str:
  """A figure as an SVG document of its own.

  Args:
    figure: made within `drawing_style`.
    slug: begins every id in the drawing; distinct within a page.
    title: what it shows.
    alt: what there is to see.
  """
  buffer = io.StringIO()
  figure.savefig(
    buffer, format="svg", transparent=True, metadata=_NO_METADATA["svg"]
  )
  root = ElementTree.fromstring(buffer.getvalue())
  for parent in list(root.iter()):
    for child in list(parent):
      # The style sheet would hold for the whole page; see the root instead.
      if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
        parent.remove(child)
  _rename_ids(root, slug)
  for element in root.iter():
    if "style" in element.attrib:
      style = re.sub(rf"'{FONT}'[^;]*", FONTS, element.attrib["style"])
      element.attrib["style"] = style
    element.tail = element.tail and element.tail.strip()
    if element.tag != f"{_SVG}text":
      element.text = element.text and element.text.strip()
  root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
  for place, (tag, text) in enumerate((("title", title), ("desc", alt))):
    element = ElementTree.Element(f"{_SVG}{tag}")
    element.text = printable(text)
    root.insert(place, element)
  return _text(root) + "\n"


def to_bytes(figure: Figure, kind: str) -> bytes:
  """A figure as a PDF (letters as letters) or a PNG, on white."""
  buffer = io.BytesIO()
  with drawing_style():
    figure.savefig(
      buffer,
      format=kind,
      dpi=_DOTS_PER_INCH,
      facecolor="white",
      metadata=_NO_METADATA[kind],
    )
  return buffer.getvalue()


def inlined(svg: str, alt: str) -> str:
  """An SVG document as an element of the page, in the page's colours."""
  root = ElementTree.fromstring(svg)
  # A title within the page would pop up wherever the pointer rests.
  for child in root[:2]:
    root.remove(child)
  for element in root.iter():
    if "style" in element.attrib:
      element.attrib["style"] = themed(element.attrib["style"])
  root.attrib |= {"role": "img", "aria-label": printable(alt)}
  for name in ("width", "height"):
    root.attrib[name] = root.attrib[name].removesuffix("pt")
  # HTML knows both namespaces by itself.
  return re.sub(r' xmlns(:\w+)?="[^"]*"', "", _text(root), count=2)


def plain(text: str, longest: int = 24) -> str:
  """A name fit for a drawing: printable, and cut where it is too long."""
  text = printable(text)
  if _columns(text) <= longest:
    return text
  while _columns(text) > longest - 1:
    text = text[:-1]
  return f"{text}…"


def _columns(text: str) -> int:
  """How wide a text is in letters: those of East Asia count for two."""
  return sum(
    2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
  )


def printable(text: str) -> str:
  """Text without the characters that XML does not take."""
  return "".join(one if one.isprintable() else " " for one in text)


def _rename_ids(root: ElementTree.Element, slug: str) -> None:
  """Ids that are used become slug-1, slug-2, ...; the others go."""
  pattern = re.compile(r"(url\(#|^#)([^)]+)")
  used = {
    match[2]
    for element in root.iter()
    for value in element.attrib.values()
    for match in pattern.finditer(value)
  }
  names: dict[str, str] = {}
  for element in root.iter():
    name = element.attrib.pop("id", "")
    if name in used:
      names[name] = f"{slug}-{len(names) + 1}"
      element.attrib["id"] = names[name]

  def renamed(match: re.Match[str]) -> str:
    return match[1] + names.get(match[2], match[2])

  for element in root.iter():
    for key, value in element.attrib.items():
      element.attrib[key] = pattern.sub(renamed, value)


def _text(root: ElementTree.Element) -> str:
  for prefix, namespace in _NAMESPACES.items():
    ElementTree.register_namespace(prefix, namespace)
  return ElementTree.tostring(root, encoding="unicode")
