"""scripts/browser: it finds a browser, installs one, or says that it cannot."""

from pathlib import Path
import shutil
import subprocess
import sys

from browsers import NAMES
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "browser"
RUNS = "#!/bin/sh\necho Chromium 1\n"
SUDO = '#!/bin/sh\nshift\nexec "$@"\n'
STUB = "#!/bin/sh\necho install the snap >&2\nexit 1\n"


@pytest.fixture
def machine(tmp_path):
  """A PATH with what the script needs, and programs of the test."""
  for name in ("bash", "dirname", "env", "id", "timeout", "sleep"):
    (tmp_path / name).symlink_to(shutil.which(name))
  # No .venv, where playwright and its browser may be: a bare interpreter.
  _program(
    tmp_path, "bare", f'#!/bin/sh\nexec {sys._base_executable} -S -E "$@"\n'
  )

  def run(seconds=30, **programs):
    for name, text in programs.items():
      _program(tmp_path, name.replace("_", "-"), text)
    start = tmp_path / "scripts" / "browser"
    start.parent.mkdir(exist_ok=True)
    shutil.copy(SCRIPT, start)
    (tmp_path / "tests").mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("browsers.py"), tmp_path / "tests")
    return subprocess.run(
      [start],
      env={
        "PATH": str(tmp_path),
        "PYTHON": str(tmp_path / "bare"),
        "BROWSER_SECONDS": str(seconds),
      },
      capture_output=True,
      text=True,
      timeout=60,
    )

  return run


def _program(folder, name, text):
  path = folder / name
  path.write_text(text)
  path.chmod(0o755)


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_that_is_there_is_named(machine, name, tmp_path):
  done = machine(**{name: RUNS, "apt_get": STUB})
  assert (done.returncode, done.stderr) == (0, "")
  assert done.stdout == f"{tmp_path / name}\n"


def test_one_is_installed_after_an_update(machine, tmp_path):
  apt = f"""#!/bin/sh
echo "$@" >> {tmp_path}/asked
case "$*" in
  *update) echo > {tmp_path}/updated ;;
  *) [ -e {tmp_path}/updated ] || exit 100
     printf '%s' '{RUNS}' > {tmp_path}/chromium
     {shutil.which("chmod")} +x {tmp_path}/chromium ;;
esac
"""
  done = machine(apt_get=apt, sudo=SUDO, **{"chromium-browser": STUB})
  assert done.returncode == 0
  assert done.stdout == f"{tmp_path / 'chromium'}\n"
  asked = (tmp_path / "asked").read_text().splitlines()
  assert len(asked) == 3
  assert asked[1].endswith("update")


def test_without_a_way_it_says_so_and_fails(machine):
  done = machine(apt_get=STUB, sudo=STUB)
  assert done.returncode == 1
  assert done.stdout == ""
  assert "none could be installed; install the package" in done.stderr


def test_it_does_not_wait_forever(machine):
  done = machine(
    seconds=1,
    apt_get="#!/bin/sh\nexec sleep 50\n",
    sudo='#!/bin/sh\nshift\nexec "$@"\n',
  )
  assert done.returncode == 1
  assert "none could be installed" in done.stderr
