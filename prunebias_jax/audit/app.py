"""The HTTP interface of the page: files, JSON of what it shows, verdicts."""

from collections.abc import Callable
import importlib.resources
import json
import secrets
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from prunebias_jax.audit.answers import (
  Query,
  compare,
  gallery,
  item,
  line_of,
  next_case,
  results,
  session,
)
from prunebias_jax.audit.guard import LOOPBACK, Guard
from prunebias_jax.audit.item import groups_of
from prunebias_jax.audit.listing import as_csv, as_json, without_nan
from prunebias_jax.audit.office import Office, whole
from prunebias_jax.errors import InputError

# Everything that is served as it is: no request names a file.
ASSETS = {
  "index.html": "text/html",
  "audit.css": "text/css",
  "icon.svg": "image/svg+xml",
  **{
    f"{name}.js": "text/javascript"
    for name in (
      "main",
      "api",
      "dom",
      "charts",
      "filters",
      "queue",
      "item",
      "gallery",
      "compare",
      "results",
    )
  },
}
INSUFFICIENT_STORAGE = 507


def make_app(
  office: Office,
  *,
  token: str | None = None,
  port: int = 0,
  hosts: tuple[str, ...] = LOOPBACK,
  reviewer: str = "",
) -> Starlette:
  """The ASGI application of an audit.

  Args:
    office: the audit.
    token: of this start; drawn unless given.
    port: names the cookie, so that two pages on one machine keep apart.
    hosts: the names by which it may be asked for; none for any.
    reviewer: the name that the page begins with.
  """
  token = token or secrets.token_urlsafe(24)
  routes = [
    Route("/", _asset("index.html")),
    *(Route(f"/static/{name}", _asset(name)) for name in ASSETS),
    Route("/image/{row}.png", _image(office)),
    Route(
      "/api/session", _json(lambda query: session(office, token, reviewer))
    ),
    Route("/api/queue", _json(lambda query: next_case(office, query))),
    Route("/api/item", _json(lambda query: item(office, query))),
    Route("/api/gallery", _json(lambda query: gallery(office, query))),
    Route("/api/compare", _json(lambda query: compare(office, query))),
    Route("/api/results", _json(lambda query: results(office))),
    Route("/api/verdicts", _save(office), methods=["POST"]),
    Route("/export/verdicts.csv", _export(office, "csv")),
    Route("/export/verdicts.json", _export(office, "json")),
  ]
  guard = Middleware(
    Guard, token=token, cookie=f"prunebias_audit_{port}", hosts=hosts
  )
  return Starlette(routes=routes, middleware=[guard])


def _json(answer: Callable[[Query], Any]) -> Callable[[Request], Any]:
  """An endpoint that answers with JSON, and bad input with status 400."""

  def endpoint(request: Request) -> Response:
    try:
      return _as_json(answer(request.query_params))
    except InputError as error:
      return _as_json({"error": str(error)}, 400)

  return endpoint


def _save(office: Office) -> Callable[[Request], Any]:
  """Saves a verdict, skip or undo; answers once it is on the disk."""

  def save(content: bytes) -> Response:
    try:
      asked = json.loads(content)
      if not isinstance(asked, dict):
        raise InputError("accepted: a JSON object")
      line = None
      if "queue" in asked:
        query = asked["queue"]
        if not isinstance(query, dict) or not all(
          isinstance(one, str) for one in query.values()
        ):
          raise InputError("queue: accepted: an object of text")
        line = line_of(office, query)
      record = office.record(asked, line)
    except (ValueError, RecursionError) as error:  # InputError, bad JSON
      return _as_json({"error": str(error)}, 400)
    except OSError as error:
      return _as_json(
        {"error": f"not saved: {error.strerror}"}, INSUFFICIENT_STORAGE
      )
    groups = None
    if record.kind == "verdict":
      groups = groups_of(office.examples, office.examples.rows[record.case[0]])
    return _as_json({"saved": record.serial, "groups": groups})

  async def endpoint(request: Request) -> Response:
    content = await request.body()
    return await anyio.to_thread.run_sync(save, content)

  return endpoint


def _asset(name: str) -> Callable[[Request], Any]:
  """A file of the page."""
  folder = importlib.resources.files("prunebias_jax.audit") / "page"
  content = (folder / name).read_bytes()

  def endpoint(request: Request) -> Response:
    return Response(
      content,
      media_type=ASSETS[name],
      headers={"cache-control": "no-cache"},
    )

  return endpoint


def _image(office: Office) -> Callable[[Request], Any]:
  """A picture; its link holds what changes with the run, so it may be kept."""

  def endpoint(request: Request) -> Response:
    try:
      row = whole(request.path_params["row"], len(office.examples), "row")
    except InputError as error:
      return _as_json({"error": str(error)}, 404)
    content = office.png(row, small="small" in request.query_params)
    if content is None:
      return _as_json({"error": office.no_pictures}, 404)
    return Response(
      content,
      media_type="image/png",
      headers={"cache-control": "private, max-age=86400, immutable"},
    )

  return endpoint


def _export(office: Office, kind: str) -> Callable[[Request], Any]:
  """The verdicts as a file to save."""

  def endpoint(request: Request) -> Response:
    verdicts = office.ledger.verdicts()
    name = f"verdicts-{office.plan.split}.{kind}"
    text = as_csv(verdicts)
    if kind == "json":
      text = as_json(verdicts, office.identity, office.plan)
    return Response(
      text.encode(),
      media_type="text/csv" if kind == "csv" else "application/json",
      headers={
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
      },
    )

  return endpoint


def _as_json(value: Any, status: int = 200) -> Response:
  text = json.dumps(without_nan(value), ensure_ascii=False, allow_nan=False)
  return Response(
    text.encode(),
    status,
    media_type="application/json",
    headers={"cache-control": "no-store"},
  )
