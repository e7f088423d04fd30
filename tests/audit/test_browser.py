"""The page in a real browser: keyboard, reload, links, 20,000 examples."""

import csv
import io
from pathlib import Path
import shutil
import threading
import time

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="needs the extra audit")

from audit_runs import plain_run
import uvicorn

from prunebias_jax.audit.app import make_app
from prunebias_jax.audit.log import Plan
from prunebias_jax.audit.office import Office
from prunebias_jax.audit.serve import listen
from prunebias_jax.store import open_run

TOKEN = "token-of-the-test"
# Nothing in these tests may ask for longer.
PATIENCE = 20_000


class Site:
  """An audit that is served from a thread of this process."""

  def __init__(self, path, plan=None):
    self.office = Office(open_run(path), plan or Plan())
    self.office.open_pictures()
    self.listener, port = listen("127.0.0.1", 8970)
    app = make_app(self.office, token=TOKEN, port=port)
    self.server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    self.thread = threading.Thread(
      target=self.server.run, kwargs={"sockets": [self.listener]}
    )
    self.thread.start()
    self.home = f"http://127.0.0.1:{port}/"
    self.link = f"{self.home}?token={TOKEN}"

  def stop(self):
    self.server.should_exit = True
    self.thread.join(20)
    self.listener.close()
    self.office.close()


@pytest.fixture
def site(tmp_path):
  started = []

  def start(run, plan=None):
    path = tmp_path / f"run {len(started)}"
    shutil.copytree(run.path, path)
    started.append(Site(path, plan))
    return started[-1]

  yield start
  for one in started:
    one.stop()


@pytest.fixture
def open_page(chromium):
  """Opens pages that fail the test where a script does."""
  contexts, errors = [], []

  def get(url, **options):
    context = chromium.new_context(**options)
    contexts.append(context)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
      "console",
      lambda said: said.type == "error" and errors.append(said.text),
    )
    page.goto(url)
    return page

  yield get
  for context in contexts:
    context.close()
  # A run without pictures, and answers that tests lose.
  assert not [e for e in errors if "Failed to load resource" not in e]


def until(page, script, arg=None):
  """Waits for a script to be true; the page's policy forbids its own eval."""
  end = time.monotonic() + PATIENCE / 1000
  while not page.evaluate(script, arg):
    assert time.monotonic() < end, script
    time.sleep(0.02)


def begin(page, name="Ada"):
  """Says who one is; waits for the first case."""
  page.get_by_label("Reviewer").fill(name)
  page.keyboard.press("Enter")
  page.wait_for_selector(".verdicts")


def judge(page, key, done):
  page.keyboard.press(key)
  until(
    page,
    "n => document.getElementById('progress')"
    "?.textContent.startsWith(`${n} judged`)",
    arg=done,
  )


def test_a_reviewer_works_by_keyboard_alone(faces, site, open_page):
  one = site(faces)
  page = open_page(one.link)
  # The token does not stay in the address, where it would be shared.
  until(page, "!location.search")
  begin(page)
  shown, notes = [], ['a "b"\nc', "", "=1+1 <i>"]
  for number, (key, note) in enumerate(zip("315", notes, strict=True), 1):
    shown.append(
      (
        page.locator("figcaption").inner_text(),
        page.locator("#asked").inner_text(),
      )
    )
    if note:
      page.keyboard.press("n")
      page.keyboard.type(note)
      page.keyboard.press("Escape")
    judge(page, key, number)
  assert page.get_by_role("status").inner_text() == "Saved."
  page.keyboard.press("s")
  until(page, "document.getElementById('status').textContent === 'Skipped.'")
  page.keyboard.press("u")
  until(page, "document.getElementById('status').textContent === 'Taken back.'")
  judge(page, "7", 4)
  page.keyboard.press("u")
  page.wait_for_selector("text=3 judged")
  page.reload()
  page.wait_for_selector("text=3 judged")
  assert page.get_by_label("Reviewer").input_value() == "Ada"
  for number, expected in enumerate(reversed(shown), 1):
    page.keyboard.press("b")
    page.wait_for_selector(f"text={number} back")
    assert page.locator("figcaption").inner_text() == expected[0]
  pressed = page.locator('[aria-pressed="true"]')
  assert "Several objects" in pressed.inner_text()
  assert page.locator("#note").input_value() == notes[0]
  page.goto(f"{one.home}#results")
  with page.expect_download() as download:
    page.get_by_text("Save as CSV").click()
  text = Path(download.value.path()).read_text()
  rows = [*csv.DictReader(io.StringIO(text))]
  assert [row["verdict"] for row in rows] == [
    "several_objects",
    "wrong_label",
    "atypical",
  ]
  assert [row["note"] for row in rows] == [notes[0], "", f"'{notes[2]}"]
  for row, (example, asked) in zip(rows, shown, strict=True):
    assert row["example_id"] == example
    assert row["attribute"] in asked
    assert float(row["seconds"]) > 0


def test_filter_then_item_then_back(faces, site, open_page):
  page = open_page(site(faces).link)
  page.goto(page.url.partition("#")[0] + "#gallery")
  page.wait_for_selector(".tile a")
  page.get_by_label("Male", exact=True).select_option("yes")
  until(page, "location.hash.includes('groups=0%3A1')")
  page.get_by_label("Sort by").select_option("compressed_entropy")
  until(page, "location.hash.includes('sort=')")
  page.wait_for_selector(".tile a")
  men = int(faces.split("valid")["identities"].to_numpy()[:, 0].sum())
  assert page.locator("#total").inner_text().startswith(f"{men} of 60")
  first = page.locator(".tile .id").first.inner_text()
  address = page.url
  again = open_page(page.url.replace("/#", f"/?token={TOKEN}#"))
  again.wait_for_selector(".tile a")
  assert again.locator(".tile .id").first.inner_text() == first
  page.locator(".tile a").first.focus()
  page.keyboard.press("ArrowRight")
  until(page, "document.activeElement.closest('li')?.dataset.place === '1'")
  page.keyboard.press("Enter")
  page.wait_for_selector(".chart")
  assert page.locator(".chart polyline").count() == 3
  loaded = "[...document.images].every(i => i.complete && i.naturalWidth)"
  until(page, loaded)
  page.go_back()
  page.wait_for_selector(".tile a")
  assert page.url == address


def test_the_queue_is_filtered_by_keyboard(faces, site, open_page):
  one = site(faces)
  page = open_page(one.link)
  begin(page)
  page.locator("summary").focus()
  page.keyboard.press("Enter")
  page.keyboard.press("Tab")
  reached = []
  for _ in range(9):
    reached.append(page.evaluate("document.activeElement.id"))
    page.keyboard.press("Tab")
  assert reached == [
    "exemplar", "onset", "cell", "confidence", "side", "group-0", "group-1",
    "group-2", "group-3",
  ]  # fmt: skip
  page.get_by_label("Exemplars").select_option("yes")
  until(page, "location.hash.includes('exemplar=yes')")
  page.get_by_label("Answer").focus()
  page.keyboard.type("wrong")
  until(page, "location.hash.includes('cell=wrong')")
  page.wait_for_selector("#reveals")
  # The keyboard stays in the form until it is left; then keys are verdicts.
  assert page.evaluate("document.activeElement.id") == "cell"
  page.keyboard.press("Escape")
  judge(page, "1", 1)
  record = one.office.ledger.records[0]
  assert (record.arm, record.blind) == ("exemplar", False)
  page.get_by_label("Id contains").fill("no such id")
  page.keyboard.press("Enter")
  page.wait_for_selector("text=passes these filters")


def test_the_threshold_moves_the_rates(faces, site, open_page):
  one = site(faces)
  page = open_page(one.link + "#compare?question=1&population=2")
  page.wait_for_selector("#rates tbody tr")

  def rates():
    return page.locator("#rates tbody tr").first.inner_text()

  before = rates()
  page.locator("#threshold").focus()
  for _ in range(40):
    page.keyboard.press("ArrowRight")
  until(
    page,
    "before => document.querySelector('#rates tbody tr').innerText !== before",
    arg=before,
  )
  expected = one.office.comparer.compare(2, 1, 2.0)["groups"][0]
  mean = 100 * np.mean(expected["compressed"]["fnr"])
  until(
    page,
    "text => document.querySelector('#rates tbody').innerText.includes(text)",
    arg=f"{mean:.1f} %",
  )
  assert "threshold=2" in page.url
  assert page.locator(".mark").count() == 2
  page.get_by_role("button", name="Calibrated").click()
  page.wait_for_selector("text=each member at its own")


def test_hostile_ids_run_nothing(hostile, site, open_page):
  one = site(hostile)
  page = open_page(one.link + "#gallery?sort=place")
  page.wait_for_selector(".tile a")
  fired = []
  page.on("dialog", lambda dialog: fired.append(dialog.message))
  texts = page.locator(".tile .id").all_inner_texts()[:3]
  assert texts[1] == "<img src=x onerror=alert(1)>"[:24]
  for row in range(6):
    page.goto(f"{one.home}#item?row={row}")
    page.wait_for_selector(".chart")
    # Nothing runs out of the page, however long a name is.
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]
  assert page.locator("img[src='x']").count() == 0
  assert fired == []


def test_the_server_going_away_is_said(faces, site, open_page):
  one = site(faces)
  page = open_page(one.link)
  begin(page)
  page.route("**/api/verdicts", lambda route: route.abort())
  page.evaluate(
    "() => { const wait = setTimeout;"
    " window.setTimeout = (f, t) => wait(f, t / 100); }"
  )
  page.keyboard.press("1")
  page.wait_for_selector("#status.bad")
  assert "Not saved" in page.get_by_role("status").inner_text()
  assert one.office.ledger.records == []
  page.unroute("**/api/verdicts")
  judge(page, "1", 1)


def test_a_lost_answer_does_not_save_twice(faces, site, open_page):
  one = site(faces)
  page = open_page(one.link)
  begin(page)
  lost = []

  def lose(route):
    if lost:
      route.continue_()
    else:
      lost.append(route.fetch().status)
      route.abort()

  page.route("**/api/verdicts", lose)
  judge(page, "2", 1)
  assert lost == [200]
  assert len(one.office.ledger.records) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(faces, site, open_page, scheme):
  axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs the extra test"
  )
  one = site(faces)
  page = open_page(one.link, color_scheme=scheme)
  begin(page)
  judge(page, "1", 1)
  views = {
    "queue": ".verdicts",
    "queue?cell=wrong": "#reveals",
    "gallery": ".tile a",
    "item?row=3": ".chart",
    "compare": "#rates",
    "results": "main h2",
  }
  for view, sign in views.items():
    page.goto(f"{one.home}#{view}")
    until(page, "!document.querySelector('[aria-busy]')")
    page.wait_for_selector(sign)
    for width in (1280, 390):
      page.set_viewport_size({"width": width, "height": 800})
      found = axe.Axe().run(page)
      assert not found.response["violations"], found.generate_report()
      wide = page.evaluate("document.documentElement.scrollWidth")
      assert wide <= width, view


def test_the_keyboard_reaches_everything(faces, site, open_page):
  page = open_page(site(faces).link)
  begin(page)
  page.evaluate("document.body.focus()")
  reached = set()
  for _ in range(60):
    page.keyboard.press("Tab")
    reached.add(
      page.evaluate(
        "() => { const e = document.activeElement;"
        " return e.dataset.verdict || e.id || e.dataset.view ||"
        " e.textContent.trim(); }"
      )
    )
  wanted = {one["key"] for one in page.evaluate(
    "fetch('/api/session').then(r => r.json()).then(s => s.verdicts)"
  )}  # fmt: skip
  wanted |= {"queue", "gallery", "compare", "results", "reviewer", "note"}
  wanted |= {"population", "question", "key-s", "Which cases"}
  assert wanted <= reached


@pytest.fixture(scope="module")
def many(tmp_path_factory):
  """20,000 examples."""
  ids = [f"example-{number:06d}" for number in range(20_000)]
  path = tmp_path_factory.mktemp("many") / "run"
  return plain_run(path, ids, seeds=(0, 1, 2, 3))


def test_of_twenty_thousand_examples_those_in_sight_are_in_the_page(
  many, site, open_page
):
  one = site(many)
  page = open_page(one.link + "#gallery?sort=place")
  page.wait_for_selector(".tile a")
  assert page.locator("#total").inner_text().startswith("20,000 of 20,000")
  # A whole walk through the gallery, a screen at a time.
  most = page.evaluate(
    """async () => {
      const scroller = document.getElementById("scroller");
      let most = 0;
      for (let step = 0; step < 60; step++) {
        scroller.scrollTop = (step / 59) * scroller.scrollHeight;
        await new Promise(requestAnimationFrame);
        most = Math.max(most, document.querySelectorAll(".tile").length);
      }
      return most;
    }"""
  )
  assert 10 < most < 400
  until(page, "document.querySelector('[data-place=\"19999\"] a') !== null")
  last = page.locator('[data-place="19999"]')
  assert "example-019999" in last.inner_text()
  assert last.get_attribute("aria-posinset") == "20000"
  # What the keyboard reaches next is brought into sight.
  last.locator("a").focus()
  for _ in range(3):
    page.keyboard.press("ArrowUp")
  place = "Number(document.activeElement.closest('li')?.dataset.place)"
  until(page, f"{place} < 19999 && {place} > 19900")
