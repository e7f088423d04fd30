"""Run directories among several processes, and whole or not at all."""

from collections.abc import Iterator
import contextlib
import fcntl
import os
from pathlib import Path
import shutil

from prunebias_jax.errors import InputError
from prunebias_jax.store.layout import SWEEP

LOCK = ".lock"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
  """Holds the run directory for this process alone.

  It is made if need be, and goes again if something is raised before there is
  anything in it.

  Raises:
    InputError: another process trains in it, or it is no directory and its
      parent can hold none.
    OSError: it cannot be written to.
  """
  if path.exists() and not path.is_dir():
    raise InputError(f"{path} is a file; accepted: a directory for a run")
  made = [one for one in (path, *path.parents) if not one.exists()]
  try:
    path.mkdir(parents=True, exist_ok=True)
    file = (path / LOCK).open("w")
  except FileNotFoundError as error:
    raise InputError(
      f"{path} cannot be made ({error.strerror}); accepted: a directory that "
      "can be written to"
    ) from error
  with file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise InputError(f"{path} is in use by another process") from None
    try:
      yield
    except BaseException:
      _remove_empty(made)
      raise


def _remove_empty(made: list[Path]) -> None:
  """Removes directories that hold nothing but a lock, the innermost first."""
  for folder in made:
    if folder.exists():
      if {one.name for one in folder.iterdir()} - {LOCK}:
        return
      (folder / LOCK).unlink(missing_ok=True)
      folder.rmdir()


@contextlib.contextmanager
def staged(workdir: Path, name: str) -> Iterator[Path]:
  """A folder in which a run is made; it becomes that of `workdir` at the end.

  Whatever is raised meanwhile leaves no run, and of a directory that was not
  there nothing.

  Args:
    workdir: where the run goes; it must hold none. It is held for this process
      alone.
    name: of the folder inside it, for whoever looks while it is made.

  Yields:
    The folder; it is not there yet.

  Raises:
    InputError: the directory holds a run already, or is in use.
  """
  if (workdir / SWEEP).exists():
    raise InputError(f"{workdir} holds a run already; name another --workdir")
  is_made = not workdir.exists()
  staging = workdir / name
  with locked(workdir):
    shutil.rmtree(staging, ignore_errors=True)
    try:
      yield staging
      _move_in(staging, workdir)
    except BaseException:
      shutil.rmtree(workdir if is_made else staging, ignore_errors=True)
      raise


def _move_in(staging: Path, workdir: Path) -> None:
  """Moves a run to its place; sweep.json, which makes it one, last."""
  for path in sorted(staging.iterdir(), key=lambda p: p.name == SWEEP):
    target = workdir / path.name
    if target.is_dir():
      shutil.rmtree(target)
    path.rename(target)
  staging.rmdir()


def write_atomically(path: Path, text: str) -> None:
  """Writes a file whole or not at all, and durably."""
  staging = path.with_name(f".{path.name}.partial")
  try:
    with staging.open("w", encoding="utf-8") as file:
      file.write(text)
      file.flush()
      os.fsync(file.fileno())
    staging.replace(path)
  except BaseException:
    staging.unlink(missing_ok=True)
    raise
