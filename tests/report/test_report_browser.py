"""The report in a real browser: phone, dark, keyboard, print, no network."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from prunebias_jax import store

Show = Callable[..., Any]
PHONE = {"width": 390, "height": 760}
DESKTOP = {"width": 1200, "height": 860}
# Kinds of run whose pages differ most.
NAMES = ("four", "classes", "hostile", "evaluated")


@pytest.fixture
def show(
  chromium: Any, runs: Callable[[str], store.Run], page: Callable[[str], str]
) -> Iterator[Show]:
  """Opens a report; nothing may be asked of a network or go wrong in it."""
  contexts, wrong = [], []

  def get(name: str, **options: Any) -> Any:
    page(name)
    context = chromium.new_context(**options)
    contexts.append(context)
    tab = context.new_page()
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda said: wrong.append(said.text))
    tab.on(
      "request",
      lambda asked: (
        asked.url.startswith(("file:", "data:")) or wrong.append(asked.url)
      ),
    )
    tab.goto((runs(name).path / "report.html").as_uri())
    tab.evaluate(
      "document.querySelectorAll('details').forEach(d => d.open = true)"
    )
    return tab

  yield get
  for context in contexts:
    context.close()
  assert not wrong


@pytest.mark.parametrize("name", NAMES)
def test_a_phone_never_scrolls_the_page_sideways(show: Show, name: str) -> None:
  tab = show(name, viewport=PHONE)
  assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize(
  ("name", "scheme", "size"),
  [
    ("four", "light", DESKTOP),
    ("four", "dark", PHONE),
    ("hostile", "dark", DESKTOP),
    ("evaluated", "light", PHONE),
  ],
)
def test_axe_finds_nothing(
  show: Show, name: str, scheme: str, size: dict[str, int]
) -> None:
  axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs the extra test"
  )
  tab = show(name, color_scheme=scheme, viewport=size)
  found = axe.Axe().run(tab)
  assert not found.response["violations"], found.generate_report()


def test_no_words_of_a_drawing_are_cut_off(show: Show) -> None:
  """Every text of every drawing lies within the drawing."""
  tab = show("four", viewport=DESKTOP)
  outside = tab.evaluate(
    """() => [...document.querySelectorAll('figure svg')].flatMap(svg => {
      const box = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text')].filter(text => {
        const b = text.getBoundingClientRect();
        return b.left < box.left - 2 || b.right > box.right + 2
          || b.top < box.top - 2 || b.bottom > box.bottom + 2;
      }).map(text => text.textContent);
    })"""
  )
  assert outside == []


def test_the_dark_page_is_dark_and_its_drawings_too(show: Show) -> None:
  brightness = {}
  for scheme in ("light", "dark"):
    tab = show("four", color_scheme=scheme, viewport=DESKTOP)
    brightness[scheme] = tab.evaluate(
      """() => {
        const light = c => c.match(/\\d+/g).slice(0, 3)
          .reduce((sum, one) => sum + Number(one), 0);
        const text = document.querySelector('figure svg text');
        return [light(getComputedStyle(document.body).backgroundColor),
                light(getComputedStyle(text).fill)];
      }"""
    )
  page, words = zip(brightness["light"], brightness["dark"], strict=True)
  assert page[0] > 600 > 200 > page[1]
  assert words[0] < words[1]


def test_it_prints(show: Show) -> None:
  assert show("four").pdf().count(b"/Type /Page\n") >= 5
