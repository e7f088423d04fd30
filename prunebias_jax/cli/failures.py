"""What is bad luck rather than a bug: a full disk, a missing permission."""

import errno
import os
import sys
import threading

# What the machine refuses, not a bug: disk full, no permission, and the like.
REFUSALS = {
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EACCES,
  errno.EPERM,
  errno.EROFS,
  errno.EFBIG,
  errno.ENOTDIR,
  errno.ENAMETOOLONG,
  errno.ELOOP,
  errno.EISDIR,
}


def quiet_followers() -> None:
  """Says once what the machine refused, not once for every thread it stops.

  On a full disk the threads of orbax and TensorBoard fail too, and what they
  leave open complains when it is thrown away.
  """
  in_thread, thrown_away = threading.excepthook, sys.unraisablehook

  def thread_hook(failure: threading.ExceptHookArgs) -> None:
    if refusal(failure.exc_value) is None:
      in_thread(failure)

  def unraisable_hook(failure: "sys.UnraisableHookArgs") -> None:
    text = str(failure.exc_value)
    closed = "Event loop is closed" in text or "handle is closed" in text
    if refusal(failure.exc_value) is None and not closed:
      thrown_away(failure)

  threading.excepthook = thread_hook
  sys.unraisablehook = unraisable_hook


def refusal(error: BaseException | None) -> str | None:
  """What the machine refused, where that is what is behind an exception.

  Libraries wrap a full disk in exceptions of their own, so the whole chain and
  its texts are looked through.
  """
  full = os.strerror(errno.ENOSPC)
  while error is not None:
    if isinstance(error, OSError) and error.errno in REFUSALS:
      where = f": {error.filename}" if error.filename else ""
      return f"{error.strerror}{where}"
    if full in str(error):
      return full
    error = error.__cause__ or error.__context__
  return None
