"""The metrics log as TensorBoard event files."""

from collections.abc import Iterable, Mapping
import logging
from pathlib import Path
from typing import Any

from prunebias_jax import store

log = logging.getLogger(__name__)

CURVES = ("loss", "accuracy", "zeros", "images_per_second")


class Board:
  """Writes RUN/tensorboard, a curve for each member and metric.

  Of several processes all but the first write into folders of their own there.
  Without the package tensorboardX nothing is written; the same numbers are in
  metrics.jsonl.
  """

  def __init__(self, run: Path, writer: int = 0) -> None:
    try:
      from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
      log.info("tensorboardX is not installed: no TensorBoard files")
      self._writer = None
    else:
      folder = run / "tensorboard"
      if writer:
        folder /= f"process-{writer}"
      self._writer = SummaryWriter(str(folder), flush_secs=30)

  def write(self, records: Iterable[Mapping[str, Any]]) -> None:
    """Adds an epoch's records, as the metrics log has them."""
    if self._writer is None:
      return
    for record in records:
      name = store.member_name(record)
      for curve in CURVES:
        self._writer.add_scalar(
          f"{curve}/{name}", record[curve], record["epoch"]
        )
    self._writer.flush()

  def close(self) -> None:
    """Closes the files."""
    if self._writer is not None:
      self._writer.close()
