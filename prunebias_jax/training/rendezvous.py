"""How the processes of a job find each other before they begin.

A client of JAX's coordination service that finds no service, or a service that
misses a client, ends its process from C++ with a page of addresses. So the
processes meet here first, over plain TCP on the coordinator's port: process 0
waits for one line from each of the others and answers all at once. Whoever
does not come is named, within a time that is known.
"""

import contextlib
import re
import socket
import time

from prunebias_jax.errors import InputError

HELLO = re.compile(r"prunebias (\d+) of (\d+)")
# A line takes no time to travel; the other side has seconds to spare.
PATIENCE = 5.0
PAUSE = 0.2
LONGEST = 4096


def meet(address: str, index: int, count: int, seconds: float) -> None:
  """Returns in all processes once every one of them is there.

  Args:
    address: "host:port" of process 0.
    index: which process this is.
    count: how many there are.
    seconds: how long to wait.

  Raises:
    InputError: processes that did not come in time, that do not fit together,
      or a port that cannot be used.
  """
  host, port = split_address(address)
  if index == 0:
    _gather(address, port, count, seconds)
  else:
    _join(address, host, port, index, count, seconds)


def split_address(address: str) -> tuple[str, int]:
  """The host and the port of "host:port".

  Raises:
    InputError: a text of another form.
  """
  host, _, port = address.rpartition(":")
  if not host or not port.isdigit() or not 0 < int(port) < 2**16:
    raise InputError(
      f"--coordinator is {address!r}; accepted: HOST:PORT (a port from 1 to "
      "65535), or auto"
    )
  return host.removeprefix("[").removesuffix("]"), int(port)


def _gather(address: str, port: int, count: int, seconds: float) -> None:
  """Process 0: waits for all the others, then lets all go on."""
  deadline = time.monotonic() + seconds
  there: dict[int, socket.socket] = {}
  with contextlib.ExitStack() as stack:
    listener = stack.enter_context(_listener(address, port))
    try:
      while len(there) < count - 1:
        listener.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
          peer, _ = listener.accept()
        except TimeoutError:
          missing = sorted({*range(1, count)} - {*there})
          raise InputError(
            f"{_named(missing)} did not reach the coordinator {address} within "
            f"{seconds:g} s"
          ) from None
        index = _greeting(stack.enter_context(peer), count)
        # Who comes again was restarted: the line before is dead.
        if index is not None:
          there[index] = peer
        if len(there) == count - 1:
          there = {i: one for i, one in there.items() if not _has_left(one)}
    except InputError as error:
      _tell(there, f"refused: {error}")
      raise
    _tell(there, "go")


def _listener(address: str, port: int) -> socket.socket:
  """The coordinator's port, opened."""
  both = socket.has_dualstack_ipv6()
  family = socket.AF_INET6 if both else socket.AF_INET
  try:
    return socket.create_server(("", port), family=family, dualstack_ipv6=both)
  except OSError as error:
    raise InputError(
      f"the coordinator {address} cannot open its port: {error.strerror}"
    ) from None


def _greeting(peer: socket.socket, count: int) -> int | None:
  """The index of the process that calls; None for a stranger.

  Raises:
    InputError: a process that was told another number of processes.
  """
  found = HELLO.fullmatch(_line(peer))
  if not found:
    return None
  index, theirs = map(int, found.groups())
  if theirs != count or not 0 < index < count:
    error = InputError(
      f"process {index} was started as one of {theirs}, process 0 as one of "
      f"{count}; give all the same --processes"
    )
    _tell({index: peer}, f"refused: {error}")
    raise error
  _tell({index: peer}, "wait")
  return index


def _join(
  address: str, host: str, port: int, index: int, count: int, seconds: float
) -> None:
  """Any other process: calls until process 0 answers and lets it go on."""
  deadline = time.monotonic() + seconds
  problem = "no answer"
  while (left := deadline - time.monotonic()) > 0:
    try:
      with socket.create_connection((host, port), min(left, PATIENCE)) as peer:
        peer.sendall(f"prunebias {index} of {count}\n".encode())
        answer = _line(peer)
        problem = "what answers there is no coordinator of a run that begins"
        if answer == "wait":
          problem = "it waits for other processes"
          peer.settimeout(max(deadline - time.monotonic(), PATIENCE))
          answer = _line(peer)
        if answer == "go":
          return
        if answer.startswith("refused: "):
          raise InputError(answer.removeprefix("refused: "))
    except OSError as error:
      problem = (error.strerror or str(error)).lower()
    time.sleep(PAUSE)
  raise InputError(
    f"the coordinator {address} was not reached within {seconds:g} s "
    f"({problem})"
  )


def _line(peer: socket.socket) -> str:
  """One line from the other side, as far as it comes; "" where none does."""
  if peer.gettimeout() is None:
    peer.settimeout(PATIENCE)
  received = b""
  with contextlib.suppress(OSError):
    while not received.endswith(b"\n") and len(received) < LONGEST:
      byte = peer.recv(1)
      if not byte:
        break
      received += byte
  return received.decode(errors="replace").removesuffix("\n")


def _tell(peers: dict[int, socket.socket], text: str) -> None:
  """Sends a line to each; who has gone does not hear it."""
  for peer in peers.values():
    with contextlib.suppress(OSError):
      peer.sendall(f"{text}\n".encode())


def _has_left(peer: socket.socket) -> bool:
  """Whether the other side has closed the line."""
  peer.setblocking(False)
  try:
    return peer.recv(1) == b""
  except BlockingIOError:
    return False
  except OSError:
    return True
  finally:
    peer.settimeout(PATIENCE)


def _named(missing: list[int]) -> str:
  """Processes by number: "process 3", "processes 3, 5"."""
  plural = "es" if len(missing) > 1 else ""
  return f"process{plural} {', '.join(map(str, missing))}"
