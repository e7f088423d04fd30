"""The analysis of a run: made, kept in its directory, read back."""

from collections.abc import Sequence

import threadpoolctl

from prunebias_jax import analysis
from prunebias_jax.analysis import results
from prunebias_jax.errors import InputError
from prunebias_jax.store.run import Run

ANALYSIS = "analysis"


def analyze(
  run: Run,
  options: analysis.Options | None = None,
  notes: Sequence[str] = (),
) -> analysis.Analysis:
  """Computes every statistic of a run and writes RUN/analysis.

  Args:
    run: a run with a finished member.
    options: the user's choices; None for the defaults.
    notes: sentences to keep among those of the analysis.

  Returns:
    What was written.

  Raises:
    InputError: stored logits that are damaged, or what `analysis.analyze`
      refuses; an analysis that is there stays then.
  """
  run.verify()
  # The matrices are small: threads of a linear algebra library that wait for
  # each other cost up to ten times what they gain on a busy machine.
  with threadpoolctl.threadpool_limits(1, "blas"):
    found = analysis.analyze(
      {name: run.split(name) for name in run.splits},
      evaluations={
        (one.checkpoint, one.split): run.split(one.split, one.checkpoint)
        for one in run.evaluations()
        if not one.is_trained
      },
      options=options,
    )
  found.notes.extend(notes)
  found.write(run.path / ANALYSIS)
  return found


def read(run: Run) -> analysis.Analysis:
  """Reads the analysis that a run keeps.

  Raises:
    InputError: the run has not been analysed, or its analysis cannot be read.
  """
  directory = run.path / ANALYSIS
  results.recover(directory)
  if not directory.is_dir():
    raise InputError(
      f"{run.path} has not been analysed; run `prunebias analyze {run.path}` "
      "first"
    )
  return analysis.read(directory)
