"""Small analysed runs with images, exemplars and verdicts."""

import itertools

from audit_runs import IDENTITY
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
