"""Settings of how the machine runs it."""

import dataclasses

from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, setting

# What makes XLA choose only algorithms that give the same bits in every run.
DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Execution(Part):
  """How the machine runs it; what is trained differs by rounding at most."""

  platform: str = setting(
    "auto",
    help="auto (the best there is), cpu, gpu or tpu",
    choices=lambda: ("auto", "cpu", "gpu", "tpu"),
  )
  devices: int | None = setting(
    None,
    help="devices to use; none is all of them (on the CPU one for each core)",
    low=1,
  )
  mode: str = setting(
    "auto",
    help="how members share a device: map (one after the other), vmap (all at "
    "once), chunk:K (K at once) or auto (measured)",
  )
  convolution: str = setting(
    "auto",
    help="how convolutions are written: plain (as XLA has them), canonical "
    "(fast inside a loop on the CPU), matmul (copies and a matrix product) or "
    "auto (measured)",
    choices=lambda: ("auto", "plain", "canonical", "matmul"),
  )
  precision: str = setting(
    "auto",
    help="arithmetic of the network; parameters are float32 always: float32, "
    "tensorfloat32 (products only), bfloat16, or auto (float32 on the CPU, "
    "bfloat16 elsewhere)",
    choices=lambda: ("auto", "float32", "tensorfloat32", "bfloat16"),
  )
  deterministic: bool = setting(
    False,
    help="GPU: the same bits in every run, by slower algorithms (the CPU "
    "gives them always)",
  )
  data: str = setting(
    "auto",
    help="where training images live: resident (all on every device), "
    "streamed (gathered on the host, the next ones while these train) or auto "
    "(resident where half of the memory holds them); the same results",
    choices=lambda: ("auto", "resident", "streamed"),
  )
  steps_per_dispatch: int = setting(
    32,
    help="training steps in one call of the compiled program",
    unit="steps",
    low=1,
  )
  eval_batch: int = setting(
    250, help="examples a step when logits are made", unit="examples", low=1
  )
  chunk: int = setting(
    0,
    help="members trained together; 0 is as many as fit the memory",
    unit="members",
    low=0,
  )
  keep_parameters: bool = setting(
    True,
    help="store every member's final parameters; without them export and a "
    "shared dense parent are not available",
  )
  keep_best: bool = setting(
    False,
    help="also store the parameters after the epoch of the lowest validation "
    "loss, among the epochs at the final sparsity",
  )
  checkpoint_minutes: float = setting(
    5.0,
    help="time between checkpoints; 0 is one at every epoch",
    unit="minutes",
    low=0,
  )

  def check(self) -> None:
    """Refuses an unknown mode, and what does not fit together."""
    name, _, count = self.mode.partition(":")
    chunked = name == "chunk" and count.isdecimal() and int(count) > 0
    if self.mode not in ("auto", "map", "vmap") and not chunked:
      raise InputError(
        f"execution.mode is {self.mode!r}; accepted: auto, map, vmap, chunk:K "
        "(K members at once, such as chunk:8)"
      )
    if self.keep_best and not self.keep_parameters:
      raise InputError(
        "execution.keep_best needs execution.keep_parameters, which is False"
      )
