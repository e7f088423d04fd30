"""Memory of devices, and whether the data should live there."""

import os

import jax

from prunebias_jax.data.dataset import Dataset

# Share of a device's memory that a program may fill: the rest is for the
# logits, checkpoints and whatever else lives there.
USABLE = 0.85


def memory_limit(device: jax.Device, devices: int) -> float:
  """Bytes that a device has; CPU devices share the machine's memory."""
  stats = device.memory_stats()
  if stats and "bytes_limit" in stats:
    return float(stats["bytes_limit"])
  return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / devices


def resident_bytes(whole: int, device: jax.Device, devices: int) -> int:
  """What the training split, of so many bytes, takes of a device's memory.

  Every accelerator holds a copy; CPU devices share one, so that each takes its
  part of it.
  """
  return -(-whole // devices) if device.platform == "cpu" else whole


def data_path(
  asked: str, dataset: Dataset, device: jax.Device, devices: int
) -> str:
  """Where training images live: "resident" on the devices, or "streamed".

  `auto` keeps them on the devices where they leave half of the usable memory to
  the members.
  """
  if asked != "auto":
    return asked
  usable = USABLE * memory_limit(device, devices)
  split = dataset.splits["train"]
  whole = split.images.nbytes + split.labels.nbytes
  fits = resident_bytes(whole, device, devices) <= usable / 2
  return "resident" if fits else "streamed"
