"""Several processes that train one run, on one machine or on many.

Each has devices, members and checkpoints of its own and computes as if it were
alone. They only find each other, wait for each other and exchange a few words,
through the coordination service of `jax.distributed`.

The service is used without `jax.distributed.initialize`, which would also join
the devices of all processes into one system. Nothing here needs that, and orbax
(0.12) then saves for all processes together: one of them alone cannot.
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import itertools
import json
import threading
import time
from typing import Any, TypeVar

import jax

from prunebias_jax.errors import InputError
from prunebias_jax.training import rendezvous

T = TypeVar("T")

# A process that was not heard of for so long is taken for lost.
HEARTBEAT_SECONDS = 100
# How often a process asks whether it is to stop.
POLL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a process stands in a job.

  Attributes:
    address: "host:port" of process 0.
    index: which process this is, from 0.
    count: how many there are.
  """

  address: str
  index: int
  count: int


class Hosts:
  """The processes of a job, as one of them sees them.

  Without arguments: one process, alone, for which every call is trivial.
  """

  def __init__(
    self, index: int = 0, count: int = 1, client: Any = None
  ) -> None:
    """One of `count` processes; `client` speaks to the service."""
    self.index, self.count = index, count
    self._client = client
    self._steps = itertools.count()
    self._asked = float("-inf")
    self._reason = ""

  @property
  def is_first(self) -> bool:
    """Whether this is process 0, which makes and finishes the run."""
    return self.index == 0

  def meet(
    self, word: Any = None, poll: Callable[[], object] = lambda: None
  ) -> dict[int, Any]:
    """Waits until every process that still runs is here as well.

    Args:
      word: what to tell the others, as JSON values.
      poll: called now and then while waiting.

    Returns:
      What each said, by index; who is lost or has left is not there.
    """
    if self.count == 1:
      return {0: word}
    step = f"step/{next(self._steps)}"
    self._client.key_value_set(f"{step}/{self.index}", json.dumps(word))
    self._wait(poll)
    said = self._client.key_value_dir_get(step)
    return {int(key.rpartition("/")[2]): json.loads(text) for key, text in said}

  def together(self, act: Callable[[], T]) -> T:
    """Acts in every process; if it fails in one, it fails in all.

    Returns:
      What this process made.

    Raises:
      InputError: another process failed, or is lost.
    """
    return self._together(act, lambda made: None)[0]

  def by_first(self, act: Callable[[], T]) -> T:
    """Acts in process 0; all get what it made, or fail if it fails.

    Args:
      act: makes JSON values.

    Raises:
      InputError: process 0 failed, or another process is lost.
    """

    def here() -> T | None:
      return act() if self.is_first else None

    return self._together(here, lambda made: made)[1][0]["made"]

  def stop_all(self, reason: str) -> None:
    """Asks every process to stop; the first reason given to each counts."""
    if not self.reason_to_stop(now=True):
      self._reason = reason
      if self.count > 1:
        self._client.key_value_set(f"stop/{self.index}", reason)

  def reason_to_stop(self, now: bool = False) -> str:
    """Why some process asked all to stop; "" if none did.

    Args:
      now: ask the service, however short ago it was asked.
    """
    due = now or time.monotonic() - self._asked >= POLL_SECONDS
    if self.count > 1 and not self._reason and due:
      self._asked = time.monotonic()
      reasons = self._client.key_value_dir_get("stop")
      self._reason = reasons[0][1] if reasons else ""
    return self._reason

  def leave(self) -> None:
    """Process 0 leaves last: the service is in it."""
    if self.is_first:
      while self._wait(lambda: None) > 1:
        pass

  def _together(
    self, act: Callable[[], T], share: Callable[[T], Any]
  ) -> tuple[T, dict[int, Any]]:
    """What was made here, and what all processes said of theirs."""
    try:
      made = act()
    except Exception as error:
      self.meet({"failed": one_line(error)})
      raise
    said = self.meet({"made": share(made)})
    for index in range(self.count):
      if index not in said:
        raise InputError(
          self.reason_to_stop(now=True) or f"process {index} is lost"
        )
      if "failed" in said[index]:
        raise InputError(f"process {index}: {said[index]['failed']}")
    return made, said

  def _wait(self, poll: Callable[[], object]) -> int:
    """Waits for a call like this in every process that runs; their number.

    The service answers when all processes that still send heartbeats have
    asked for the list of those that do. It is asked in a thread, so that
    signals are heard meanwhile.
    """
    live: list[Any] = []

    def ask() -> None:
      live.append(self._client.get_live_nodes([*range(self.count)]))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    while thread.is_alive():
      thread.join(POLL_SECONDS / 5)
      poll()
    if not live:
      raise RuntimeError("the coordination service did not answer")
    return len(live[0])


@contextlib.contextmanager
def connect(
  coordinator: str,
  *,
  count: int | None = None,
  index: int | None = None,
  seconds: float = 300,
) -> Iterator[Hosts]:
  """Joins a job, and leaves it at the end.

  An exception that leaves the context makes the other processes stop.

  Args:
    coordinator: "host:port" of process 0, or "auto": what SLURM, Open MPI,
      Kubernetes or a TPU slice say.
    count: how many processes there are; auto knows.
    index: which one this is, from 0; auto knows.
    seconds: how long to wait for the others.

  Raises:
    InputError: processes that do not come in time, or arguments that do not
      fit.
  """
  # What jax.distributed is made of; there is no public name for it, and one
  # process alone needs none.
  from jax._src import distributed

  place = _place(coordinator, count, index, seconds)
  if place.count == 1:
    yield Hosts()
    return
  rendezvous.meet(place.address, place.index, place.count, seconds)
  # The processes that are left finish their work when one is lost. Of SIGTERM
  # each hears by itself.
  jax.config.update("jax_enable_recoverability", True)
  jax.config.update("jax_enable_preemption_service", False)
  state = distributed.State()
  state.initialize(
    place.address,
    place.count,
    place.index,
    cluster_detection_method="deactivate",
    initialization_timeout=max(30, round(seconds)),
    heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
  )
  hosts = Hosts(place.index, place.count, state.client)
  try:
    yield hosts
  except BaseException as error:
    hosts.stop_all(f"process {place.index} failed ({one_line(error)})")
    raise
  finally:
    hosts.leave()
    state.shutdown()


def one_line(error: BaseException) -> str:
  """An exception's text in one line."""
  return " ".join(str(error).split()) or type(error).__name__


def _place(
  coordinator: str, count: int | None, index: int | None, seconds: float
) -> Place:
  """Where this process stands, as it was told or as the cluster says."""
  if not seconds > 0:
    raise InputError(
      f"--coordinator-timeout is {seconds:g}; accepted: seconds above 0"
    )
  if coordinator == "auto":
    if count is not None or index is not None:
      raise InputError(
        "--coordinator auto finds --processes and --process by itself; leave "
        "them away"
      )
    return _place_in_cluster(seconds)
  rendezvous.split_address(coordinator)
  if count is None or index is None:
    raise InputError(
      f"--coordinator {coordinator} needs --processes N and --process I"
    )
  if count < 1:
    raise InputError(f"--processes is {count}; accepted: 1 and up")
  if not 0 <= index < count:
    raise InputError(f"--process is {index}; accepted: 0 to {count - 1}")
  return Place(coordinator, index, count)


def _place_in_cluster(seconds: float) -> Place:
  """What the cluster's environment says, read as jax.distributed reads it."""
  from jax._src import clusters

  find = clusters.ClusterEnv.auto_detect_unset_distributed_params
  try:
    address, count, index, _ = find(None, None, None, [], None, round(seconds))
  except Exception as error:
    # Whatever an environment that is set in part makes JAX raise.
    raise InputError(f"--coordinator auto: {one_line(error)}") from error
  if address is None or count is None or index is None:
    raise InputError(
      "--coordinator auto found no cluster; accepted: inside a task of SLURM, "
      "Open MPI or Kubernetes, or on a TPU slice; else HOST:PORT"
    )
  return Place(address, index, count)
