"""Who may talk to the page: a test for every way in that is closed."""

import pytest

pytest.importorskip("starlette", reason="needs the extra audit")
pytest.importorskip("httpx2", reason="needs the extra test")

from audit_runs import plain_run
from starlette.testclient import TestClient

from prunebias_jax.audit.app import ASSETS, make_app
from prunebias_jax.audit.log import Plan
from prunebias_jax.audit.office import Office

TOKEN = "secret-of-this-start"
HOME = "http://127.0.0.1:8765"
RIGHT = {"x-audit-token": TOKEN}
VERDICT = {
  "key": "1",
  "kind": "verdict",
  "verdict": "atypical",
  "reviewer": "Ada",
  "row": 0,
  "question": 0,
}


@pytest.fixture(scope="module")
def office(tmp_path_factory):
  path = tmp_path_factory.mktemp("guarded") / "run"
  found = Office(plain_run(path, [f"{n}" for n in range(30)]), Plan())
  found.open_pictures()
  yield found
  found.close()


@pytest.fixture
def client(office):
  app = make_app(office, token=TOKEN, port=8765)
  return TestClient(app, base_url=HOME)


def paths():
  return [
    "/",
    *(f"/static/{name}" for name in ASSETS),
    "/image/0.png",
    *(f"/api/{n}" for n in ("session", "queue", "item", "gallery", "compare")),
    "/api/results",
    "/export/verdicts.csv",
    "/export/verdicts.json",
  ]


@pytest.mark.parametrize("path", paths())
def test_nothing_is_read_without_the_token(client, path):
  for query in ({}, {"token": "guess"}, {"token": ""}, {"token": "ü"}):
    answer = client.get(path, params=query)
    assert answer.status_code == 403
    assert "prunebias audit" in answer.text
    assert "set-cookie" not in answer.headers


def test_the_link_opens_the_page_and_its_cookie_the_rest(client):
  answer = client.get("/", params={"token": TOKEN})
  assert answer.status_code == 200
  cookie = answer.headers["set-cookie"]
  assert "HttpOnly" in cookie
  assert "SameSite=Strict" in cookie
  assert client.get("/api/session").status_code == 200
  # The cookie alone does not write: other ports of a machine share it.
  assert client.post("/api/verdicts", json=VERDICT).status_code == 403


@pytest.mark.parametrize("token", [None, "", "guess", TOKEN + "x", TOKEN[:-1]])
def test_nothing_is_written_without_the_token(client, office, token):
  client.get("/", params={"token": TOKEN})
  headers = {} if token is None else {"x-audit-token": token}
  answer = client.post("/api/verdicts", json=VERDICT, headers=headers)
  assert answer.status_code == 403
  assert "open the link" in answer.text
  query = {"token": TOKEN}
  answer = client.post("/api/verdicts", json=VERDICT, params=query)
  assert answer.status_code == 403
  assert office.ledger.records == []


@pytest.mark.parametrize(
  "headers",
  [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": HOME, "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
  ],
)
def test_posts_of_other_sites_are_refused(client, office, headers):
  answer = client.post("/api/verdicts", json=VERDICT, headers=RIGHT | headers)
  assert answer.status_code == 403
  assert "another site" in answer.text
  assert office.ledger.records == []


@pytest.mark.parametrize(
  ("content", "kind", "status"),
  [
    (b"{}", "text/plain", 415),
    (b"a=b", "application/x-www-form-urlencoded", 415),
    (b"{", "application/json", 400),
    (b"[]", "application/json", 400),
    (b'"\xff"', "application/json", 400),
    (b"[" * 60_000, "application/json", 400),
    (b" " * (1 << 16) + b"{}", "application/json", 413),
  ],
)
def test_bodies_that_are_no_verdict_are_refused(
  client, office, content, kind, status
):
  headers = {**RIGHT, "content-type": kind}
  answer = client.post("/api/verdicts", content=content, headers=headers)
  assert answer.status_code == status
  assert office.ledger.records == []


def test_a_length_beside_chunks_does_not_pass_for_one(client, office):
  headers = {
    **RIGHT,
    "content-type": "application/json",
    "content-length": "2",
    "transfer-encoding": "chunked",
  }
  answer = client.post("/api/verdicts", content=b"{}", headers=headers)
  assert answer.status_code == 413
  assert office.ledger.records == []


@pytest.mark.parametrize(
  "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""]
)
def test_other_names_for_this_machine_are_refused(client, host):
  headers = {**RIGHT, "host": host}
  assert client.get("/", headers=headers).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8765", "[::1]:8765", "127.0.0.1"])
def test_names_of_the_loopback_are_taken(client, host):
  headers = {**RIGHT, "host": host}
  assert client.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize(
  "path",
  [
    "/static/../office.py",
    "/static/%2e%2e/office.py",
    "/static/..%2f..%2f..%2fetc%2fpasswd",
    "/static//etc/passwd",
    "/static/",
    "/sweep.json",
    "/../sweep.json",
    "/image/../sweep.json",
    "/image/%2e%2e%2f%2e%2e%2fsweep.json",
    "/image/-1.png",
    "/image/1e9.png",
    "/image/99999999.png",
    "/image/0.png/../../sweep.json",
    "/export/../audit/valid.jsonl",
    "/docs",
  ],
)
def test_no_path_leads_to_other_files(client, path):
  answer = client.get(path, headers=RIGHT)
  assert answer.status_code == 404
  assert "root:" not in answer.text
  assert "format" not in answer.text


@pytest.mark.parametrize("path", [*paths(), "/nowhere"])
def test_every_answer_has_a_strict_policy(client, path):
  for headers in (RIGHT, {}):
    answer = client.get(path, headers=headers)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in answer.headers


def test_the_page_asks_nobody_else_for_anything():
  from importlib.resources import files

  folder = files("prunebias_jax.audit") / "page"
  assert {path.name for path in folder.iterdir()} == {*ASSETS}
  for name in ASSETS:
    text = (folder / name).read_text()
    text = text.replace("http://www.w3.org/2000/svg", "")
    for word in ("http:", "https:", "//cdn", "innerHTML", "eval(", "style="):
      assert word not in text, (name, word)


def test_links_with_values_that_are_not_accepted_say_so(client):
  for path, query, message in (
    ("gallery", {"population": "x"}, "population is 'x'"),
    ("gallery", {"question": "77"}, "accepted: 0 to 2"),
    ("gallery", {"sort": "beauty"}, "unknown sort"),
    ("gallery", {"direction": "left"}, "unknown direction"),
    ("gallery", {"cell": "xx"}, "unknown cell"),
    ("gallery", {"groups": "1"}, "PLACE:0"),
    ("gallery", {"groups": "9:1"}, "PLACE:0"),
    ("gallery", {"onset": "late"}, "onset is 'late'"),
    ("gallery", {"limit": "501"}, "limit"),
    ("gallery", {"offset": "-1"}, "offset"),
    ("gallery", {"offset": "9" * 5000}, "offset"),
    ("item", {}, "row is 'None'"),
    ("item", {"row": "1' or 1=1"}, "row is"),
    ("queue", {}, "reviewer is ''"),
    ("queue", {"reviewer": "Ada", "back": "1"}, "back"),
    ("compare", {"threshold": "nan"}, "threshold"),
    ("compare", {"threshold": "1e999"}, "threshold"),
  ):
    answer = client.get(f"/api/{path}", params=query, headers=RIGHT)
    assert answer.status_code == 400, (path, query)
    assert message in answer.json()["error"]


def test_the_page_has_the_colours_of_the_report():
  palette = pytest.importorskip(
    "prunebias_jax.report.palette", reason="needs the extra report"
  )
  from importlib.resources import files

  css = (files("prunebias_jax.audit") / "page" / "audit.css").read_text()
  light, dark = css.split("@media (prefers-color-scheme: dark)")[:2]
  for name in ("page", "ink", "muted", "grid", "missing", *(
    f"series-{number}" for number in range(6)
  )):  # fmt: skip
    assert f"--{name}: {palette.LIGHT[name]};" in light
    assert f"--{name}: {palette.DARK[name]};" in dark
