"""A static gallery of the head of the queue, to send to someone.

One page without scripts and a folder of pictures; nothing can be changed in
it. It is not blinded: it shows what the models say.
"""

from pathlib import Path
import shutil
from typing import Any

import jinja2

from prunebias_jax.audit.line import Place
from prunebias_jax.audit.office import Office
from prunebias_jax.audit.records import VERDICTS
from prunebias_jax.audit.selection import Filters
from prunebias_jax.errors import InputError

PAGE = "index.html"
_OURS = (PAGE, "audit.css", "images")


def write_gallery(office: Office, directory: Path, top: int) -> int:
  """Writes the first exemplars of every compressed population.

  Args:
    office: the audit; its pictures are opened if need be.
    directory: made if need be; a gallery that is there is replaced.
    top: how many of each population, at most.

  Returns:
    The number of cases on the page.

  Raises:
    InputError: a number below 1, a directory that holds anything else, or no
      exemplars.
  """
  if top < 1:
    raise InputError(f"--top {top}; accepted: 1 and more")
  directory = directory.absolute()
  if directory.exists() and not directory.is_dir():
    raise InputError(f"{directory} is a file; accepted: a folder")
  strange = [
    path.name
    for path in (directory.iterdir() if directory.is_dir() else ())
    if path.name not in _OURS
  ]
  if strange:
    raise InputError(
      f"{directory} holds {min(strange)[:60]!r}; accepted: a new folder, or "
      "one with such a gallery"
    )
  if office.cases.reason:
    raise InputError(office.cases.reason)
  office.open_pictures()
  staging = directory.with_name(f".{directory.name}.partial")
  shutil.rmtree(staging, ignore_errors=True)
  (staging / "images").mkdir(parents=True)
  try:
    sections = _sections(office, top)
    rows = {card["row"] for section in sections for card in section["cards"]}
    pictured = [
      row for row in sorted(rows) if _write_picture(office, row, staging)
    ]
    (staging / PAGE).write_text(_page(office, sections, {*pictured}))
    source = Path(__file__).with_name("page") / "audit.css"
    shutil.copyfile(source, staging / "audit.css")
    shutil.rmtree(directory, ignore_errors=True)
    staging.rename(directory)
  finally:
    shutil.rmtree(staging, ignore_errors=True)
  return sum(len(section["cards"]) for section in sections)


def _write_picture(office: Office, row: int, folder: Path) -> bool:
  """Writes one picture; whether there is one."""
  content = office.png(row, small=False)
  if content is None:
    return False
  (folder / "images" / f"{row}.png").write_bytes(content)
  return True


def _sections(office: Office, top: int) -> list[dict[str, Any]]:
  """Populations with their first exemplars."""
  examples = office.examples
  found = []
  for population in examples.compressed:
    line = office.line(population, None, Filters())
    places = [one for one in line.places if one.arm == "exemplar"][:top]
    if places:
      found.append(
        {
          "title": examples.populations[population].label,
          "cards": [_card(office, population, place) for place in places],
        }
      )
  return found


def _card(office: Office, population: int, place: Place) -> dict[str, Any]:
  """What is said of one case."""
  examples = office.examples
  shares = {}
  for side, of in (("dense", examples.dense), ("compressed", population)):
    if of is not None:
      votes = examples.votes(of, place.question)
      answer = examples.answer_text(int(votes.modal[place.row]))
      shares[side] = f"{answer} ({votes.mean[place.row]:.2f})"
  case = office.desk.case(place)
  groups = zip(
    examples.identity_names, examples.identities[place.row], strict=True
  )
  return {
    "row": place.row,
    "example": case[0],
    "attribute": case[1],
    "label": examples.label_text(place.row, place.question) or "missing",
    "rank": place.rank,
    "shares": shares,
    "groups": [name for name, value in groups if value],
    "verdicts": [
      f"{VERDICTS[record.verdict]} ({record.reviewer})"
      for record in office.ledger.verdicts()
      if record.case == case
    ],
  }


def _page(
  office: Office, sections: list[dict[str, Any]], pictured: set[int]
) -> str:
  """The page as text."""
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("prunebias_jax.audit", ""),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  return environment.get_template("showcase.html").render(
    name=office.run.name or office.run.path.name,
    split=office.plan.split,
    sections=sections,
    pictured=pictured,
    no_pictures=office.no_pictures,
  )
