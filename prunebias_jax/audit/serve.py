"""Running the audit page: a port, a link, and a server until it is stopped."""

from collections.abc import Callable
import errno
import logging
import secrets
import socket
import threading

import uvicorn

from prunebias_jax.audit.app import make_app
from prunebias_jax.audit.guard import LOOPBACK
from prunebias_jax.audit.office import Office
from prunebias_jax.errors import InputError

log = logging.getLogger(__name__)

PORT = 8765
_TRIED = 50


def _print(line: str) -> None:
  """Prints a line at once, into a pipe too."""
  print(line, flush=True)


def serve(
  office: Office,
  *,
  host: str = LOOPBACK[0],
  port: int = PORT,
  reviewer: str = "",
  announce: Callable[[str], None] = _print,
) -> None:
  """Serves an audit until the process is interrupted.

  Args:
    office: the audit; closed in the end.
    host: the address to listen on.
    port: the first to try; the next free one is taken.
    reviewer: the name that the page begins with.
    announce: gets lines for whoever started it.

  Raises:
    InputError: no port is free, or an address that is not this machine's.
  """
  listener, found = listen(host, port)
  with listener:
    if found != port:
      announce(f"port {port} is in use; {found} taken instead")
    token = secrets.token_urlsafe(24)
    hosts: tuple[str, ...] = LOOPBACK
    if host not in LOOPBACK:
      hosts = ()
      log.warning(
        "the page listens on %s: whoever can reach this machine and has the "
        "link sees the pictures and can give verdicts, unencrypted",
        host,
      )
    app = make_app(
      office, token=token, port=found, hosts=hosts, reviewer=reviewer
    )
    threading.Thread(target=office.open_pictures, daemon=True).start()
    shown = f"[{host}]" if ":" in host else host
    announce(f"audit: http://{shown}:{found}/?token={token}")
    announce("Ctrl-C ends it; what the page calls saved stays.")
    server = uvicorn.Server(
      uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=2
      )
    )
    try:
      server.run(sockets=[listener])
    finally:
      office.close()


def listen(host: str, port: int) -> tuple[socket.socket, int]:
  """A listening socket on the first free port from this one."""
  family = socket.AF_INET6 if ":" in host else socket.AF_INET
  for candidate in range(port, min(port + _TRIED, 65536)):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      listener.bind((host, candidate))
      listener.listen()
    except OSError as error:
      listener.close()
      if error.errno != errno.EADDRINUSE:
        raise InputError(
          f"--host {host}, port {candidate}: {error.strerror}"
        ) from None
      continue
    return listener, listener.getsockname()[1]
  raise InputError(f"no port is free from {port} to {port + _TRIED - 1}")
