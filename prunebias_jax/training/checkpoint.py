"""Checkpoints of a chunk, so that a killed run goes on where it was.

A checkpoint holds the state of the members after a step, [seed, branch, ...]
without padding, so that it can be restored on another number of devices, and
the sums of the epoch at hand. orbax lists a checkpoint only once it is
complete; what a kill leaves is ignored. A file beside them says how they are
laid out, so that another version refuses them and does not misread them.
"""

from collections.abc import Callable
import importlib.metadata
import json
import logging
from pathlib import Path
import time
from typing import NamedTuple, Self

import jax
import numpy as np
import orbax.checkpoint.experimental.v1 as ocp

from prunebias_jax import store
from prunebias_jax.errors import InputError
from prunebias_jax.training.member import Best, Early, Member, Progress

log = logging.getLogger(__name__)

# Raised whenever what a `Snapshot` holds changes.
LAYOUT = 4
LAYOUT_FILE = "layout.json"


class Snapshot(NamedTuple):
  """What a resume needs.

  Attributes:
    state: members [seed, branch, ...].
    sums: loss and accuracy [seed, branch] summed over the epoch so far.
    best: the members at their lowest validation loss; None where the config
      does not ask for them.
    early: what the members go back to; None where they do not.
  """

  state: Member
  sums: Progress
  best: Best | None
  early: Early | None


class Checkpoints:
  """The checkpoints of a chunk, by steps done.

  Use as a context: leaving it waits for a save in progress.

  Attributes:
    saved: when the last one was written, as `time.monotonic` has it; at first
      when this began.
  """

  def __init__(self, directory: Path) -> None:
    self.saved = time.monotonic()
    self._directory = directory
    self._checkpointer = ocp.training.Checkpointer(
      directory.resolve(),
      preservation_policy=ocp.training.preservation_policies.LatestN(2),
    )

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *_: object) -> None:
    self._checkpointer.close()

  def save(self, step: int, snapshot: Snapshot) -> None:
    """Writes a checkpoint, in the background where that is safe."""
    self._checkpointer.wait()
    if not (self._directory / LAYOUT_FILE).exists():
      version = importlib.metadata.version("prunebias_jax")
      text = json.dumps({"layout": LAYOUT, "prunebias_jax": version})
      store.write_atomically(self._directory / LAYOUT_FILE, text)
    platform = next(iter(snapshot.sums.loss.devices())).platform
    # On an accelerator the arrays are copied to the host before the call
    # returns. On the CPU they would be read while training uses them up.
    background = platform != "cpu"
    write = (
      self._checkpointer.save_async if background else (self._checkpointer.save)
    )
    write(step, snapshot, force=True, overwrite=True)
    self.saved = time.monotonic()

  def newest(
    self, like: Callable[[int], Snapshot]
  ) -> tuple[int, Snapshot] | None:
    """The newest checkpoint that can be read, as arrays on the host.

    Args:
      like: gives shapes and types of the snapshot at a step.

    Returns:
      The step and its snapshot; None where there is none. A checkpoint that
      cannot be read is reported, and the one before is taken.

    Raises:
      InputError: checkpoints of another version of this package.
    """
    steps = self._steps()
    if steps:
      self._require_layout()
    for step in steps:
      wanted = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like(step))
      try:
        return step, self._checkpointer.load(step, wanted)
      except Exception as error:
        # Whatever a damaged file makes orbax and its codecs raise.
        log.warning(
          "the checkpoint of step %d cannot be read (%s: %s); going back to "
          "the one before",
          step,
          type(error).__name__,
          " ".join(str(error).split())[:200],
        )
        self._checkpointer.delete(step)
    return None

  def _steps(self) -> list[int]:
    """Steps of the complete checkpoints, the newest first."""
    found = [one.step for one in self._checkpointer.checkpoints]
    return sorted(found, reverse=True)

  def _require_layout(self) -> None:
    """Refuses checkpoints that are laid out otherwise."""
    path = self._directory / LAYOUT_FILE
    found = json.loads(path.read_text()) if path.exists() else {"layout": 1}
    if found["layout"] != LAYOUT:
      version = found.get("prunebias_jax", "an earlier version")
      raise InputError(
        f"{self._directory} holds checkpoints of layout {found['layout']} "
        f"(prunebias_jax {version}); accepted: {LAYOUT}; finish the run with "
        "that version, or remove the folder to train its members anew"
      )
