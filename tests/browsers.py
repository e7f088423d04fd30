"""The Chromium in which pages are tested: where it is.

python tests/browsers.py prints its path, and fails where there is none.
"""

import functools
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium that runs: scripts/browser installs one"
# Tests may run as root, in a container without a sandbox of Chromium's kind.
ARGUMENTS = ("--no-sandbox", "--disable-gpu")


@functools.cache
def find_chromium():
  """The path of the system's Chromium, or of Playwright's own; or None."""
  for name in NAMES:
    path = shutil.which(name)
    # Ubuntu's chromium-browser may be a stub that only names a snap.
    if path and _runs(path):
      return path
  own = _playwrights_own()
  return own if own and _runs(own) else None


def _runs(path):
  command = [path, "--no-sandbox", "--version"]
  try:
    done = subprocess.run(command, capture_output=True, timeout=30)
    return done.returncode == 0
  except (OSError, subprocess.TimeoutExpired):
    return False


def _playwrights_own():
  """Where Playwright's own Chromium would be."""
  try:
    from playwright.sync_api import sync_playwright
  except ImportError:
    return None
  with sync_playwright() as driver:
    return driver.chromium.executable_path


if __name__ == "__main__":
  chromium = find_chromium()
  sys.exit(MISSING) if chromium is None else print(chromium)
