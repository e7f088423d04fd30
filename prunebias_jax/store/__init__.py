"""The run directory: config, logits of every member, labels and names.

    RUN/
      sweep.json       the resolved config, versions and facts of the run; of an
                       imported one, where it came from
      logits.zarr/     zarr v3, one group each:
        members        pruner, sparsity, quantization, seed, seeds by purpose,
                       parent_seed, done, diverged           [member]
        train          labels, identities, truth_*           [example, ...]
        valid, test    the same, logits [member, example, attribute], digest
        last-test-noise-3, best-valid, ...
                       logits of a checkpoint on another split, digest, done;
                       see `evaluations`
      metrics.jsonl    loss, accuracy and zeros of every member and epoch; of
                       several processes each has its own, metrics-1.jsonl
      tensorboard/     the same as TensorBoard event files
      model.txt        the parameters of one member
      weights.csv      what classes or groups weigh, where the loss says so
      layers.csv       sparsity of each layer, overlap of masks between seeds
      costs.csv        parameters, multiplications and bytes of each population
      parameters/      final parameters of every member, 000012.npz
      chunks/, checkpoints/   what a resume needs
      analysis/        tables made from the logits
      audit/           verdicts of people on examples, see `audit.log`
      report.html

Logits have one uncompressed chunk for each member, so a member is written by
one process and either whole or not at all; its `done` flag is written last (in
the index what training stores, in its own group any other evaluation). A
digest of each member's logits tells a truncated or altered chunk.

An imported run has logits, labels and an index, and nothing that training
makes; its train and valid splits may be missing.
"""

from prunebias_jax.store.create import create, create_from_splits, labelled
from prunebias_jax.store.directory import locked, staged, write_atomically
from prunebias_jax.store.layout import (
  EVALUATED,
  FORMAT,
  IMPORTED,
  LOGITS,
  MEMBER_KEY,
  MEMBER_SEEDS,
  PARENT,
  SAMPLES,
  SPLITS,
  SWEEP,
  member_name,
  output_dimension,
)
from prunebias_jax.store.run import Run, open_run

__all__ = [
  "EVALUATED",
  "FORMAT",
  "IMPORTED",
  "LOGITS",
  "MEMBER_KEY",
  "MEMBER_SEEDS",
  "PARENT",
  "SAMPLES",
  "SPLITS",
  "SWEEP",
  "Run",
  "create",
  "create_from_splits",
  "labelled",
  "locked",
  "member_name",
  "open_run",
  "output_dimension",
  "staged",
  "write_atomically",
]
