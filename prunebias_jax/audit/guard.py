"""Who may talk to the page: this machine's browser, with the token.

Another web site open in the same browser, a name that resolves to this machine
(DNS rebinding) and other people on it get nothing.
"""

from collections.abc import Collection
import hmac
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-audit-token"
TOKEN_QUERY = "token"
LARGEST_BODY = 1 << 16
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLICY = (
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
  "connect-src 'self'; base-uri 'none'; form-action 'none'; "
  "frame-ancestors 'none'"
)
_HEADERS = {
  "content-security-policy": _POLICY,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
}
_READS = ("GET", "HEAD")


class Guard:
  """ASGI middleware that lets only requests with the token through."""

  def __init__(
    self, app: ASGIApp, *, token: str, cookie: str, hosts: Collection[str]
  ) -> None:
    """Wraps an application.

    Args:
      app: the application.
      token: of this start.
      cookie: the name of the cookie that holds it for reads.
      hosts: the names by which the page may be asked for; none for any.
    """
    self._app, self._token, self._cookie = app, token, cookie
    self._hosts = hosts

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one request, or refuses it."""
    if scope["type"] == "lifespan":
      await self._app(scope, receive, send)
      return
    if scope["type"] != "http":
      return
    refused = self._refusal(scope)
    sets_cookie = refused is None and self._is_right(
      QueryParams(scope["query_string"]).get(TOKEN_QUERY)
    )

    async def guarded(message: Message) -> None:
      if message["type"] == "http.response.start":
        headers = MutableHeaders(scope=message)
        headers.update(_HEADERS)
        if sets_cookie:
          headers.append(
            "set-cookie",
            f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/",
          )
      await send(message)

    if refused is None:
      await self._app(scope, receive, guarded)
    else:
      status, text = refused
      answer = PlainTextResponse(text + "\n", status)
      await answer(scope, receive, guarded)

  def _refusal(self, scope: Scope) -> tuple[int, str] | None:
    """Status and reason, or None where the request may pass."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if self._hosts and _name(host) not in self._hosts:
      return 421, "this page does not go by that name"
    query = QueryParams(scope["query_string"]).get(TOKEN_QUERY)
    given = headers.get(TOKEN_HEADER)
    if scope["method"] in _READS:
      cookie = _cookie(headers.get("cookie", ""), self._cookie)
      if any(self._is_right(one) for one in (given, query, cookie)):
        return None
      return 403, "open the link that `prunebias audit` printed"
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
      return 403, "another site may not write here"
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
      return 403, "another site may not write here"
    if not self._is_right(given):
      return 403, (
        "the token is missing or of an earlier start: open the link that "
        "`prunebias audit` printed"
      )
    kind = headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
      return 415, "accepted: application/json"
    # A length beside chunks would say nothing of how much comes.
    length = headers.get("content-length", "")
    if (
      "transfer-encoding" in headers
      or not length.isdecimal()
      or int(length) > LARGEST_BODY
    ):
      return 413, f"accepted: up to {LARGEST_BODY} bytes, and a length"
    return None

  def _is_right(self, given: str | None) -> bool:
    return given is not None and hmac.compare_digest(
      given.encode(), self._token.encode()
    )


def _name(host: str) -> str:
  """The name in a Host header, without the port."""
  if host.startswith("["):
    return host[1:].partition("]")[0]
  return host.partition(":")[0].lower()


def _cookie(header: str, name: str) -> str | None:
  try:
    found = SimpleCookie(header).get(name)
  except CookieError:
    return None
  return found.value if found else None
