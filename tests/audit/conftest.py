"""Small analysed runs with images, exemplars and verdicts."""

import itertools

from audit_runs import HOSTILE, IDENTITY, faces_run, plain_run
import pytest

from prunebias_jax.audit.log import Plan, VerdictLog


@pytest.fixture
def open_log(tmp_path):
  """Opens the verdict log in a folder, and closes it in the end."""
  opened = []

  def get(identity=IDENTITY, plan=None):
    path = tmp_path / "audit" / "valid.jsonl"
    log = VerdictLog(path, identity, plan or Plan())
    opened.append(log)
    return log

  yield get
  for log in opened:
    log.close()


@pytest.fixture
def say():
  """Records something, under a key of its own."""
  keys = map(str, itertools.count())

  def record(log, example, verdict="atypical", reviewer="Ada", **values):
    kind = values.pop("kind", "verdict")
    return log.append(
      values.pop("key", next(keys)),
      kind=kind,
      reviewer=reviewer,
      example_id=example,
      attribute="A",
      verdict=verdict if kind == "verdict" else "",
      **values,
    )

  return record


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
  """A run about procedural faces; nobody may change it."""
  return faces_run(tmp_path_factory.mktemp("faces") / "run")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
  """An imported run whose ids are hostile; nobody may change it."""
  ids = [*HOSTILE, *(f"plain {number}" for number in range(40))]
  return plain_run(tmp_path_factory.mktemp("hostile") / "run", ids)


@pytest.fixture(scope="session")
def classes(tmp_path_factory):
  """An imported run of exclusive classes; nobody may change it."""
  ids = [f"example {number}" for number in range(60)]
  path = tmp_path_factory.mktemp("classes") / "run"
  return plain_run(path, ids, outputs=4, classes=True)
