"""Settings of a phase of training."""

import dataclasses

from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(Part):
  """How every member is trained, dense and pruned alike."""

  epochs: int = setting(
    10, help="passes over the training split", unit="epochs", low=1
  )
  batch: int = setting(64, help="examples a step", unit="examples", low=1)
  optimizer: str = setting(
    "sgd", help="sgd (with momentum) or adam", choices=lambda: ("sgd", "adam")
  )
  learning_rate: float = setting(0.1, help="peak learning rate", low=0)
  momentum: float = setting(0.9, help="momentum of sgd", low=0, below=1)
  nesterov: bool = setting(False, help="sgd: Nesterov's momentum")
  reset_momentum: bool = setting(
    False, help="sgd: momentum is zeroed after every epoch"
  )
  weight_decay: float = setting(
    1e-4,
    help="L2 penalty's factor, on all parameters (adam: decoupled)",
    low=0,
  )
  schedule: str = setting(
    "cosine",
    help="learning rate after the warm-up: cosine (to 0), constant, or steps "
    "(multiplied by drop_factor at each of drops)",
    choices=lambda: ("cosine", "constant", "steps"),
  )
  drops: tuple[float, ...] = setting(
    (),
    help="schedule steps: when the learning rate drops, warm-up included",
    unit="epochs",
    low=0,
  )
  drop_factor: float = setting(
    0.1, help="schedule steps: what each drop multiplies by", low=0, high=1
  )
  warmup: float = setting(
    1.0, help="linear warm-up of the learning rate", unit="epochs", low=0
  )
  label_smoothing: float = setting(
    0.0,
    help="share of the target that is spread evenly over the classes, or over "
    "yes and no of each attribute; in training only",
    low=0,
    below=1,
  )
  flip: bool = setting(True, help="mirror half of the training images")
  crop: int = setting(
    2,
    help="shift training images by up to this much, zeros beyond the edge; 0 "
    "with data.resize device",
    unit="px",
    low=0,
  )

  def check(self) -> None:
    """Refuses what outlasts the training, and what would have no effect."""
    if self.warmup > self.epochs:
      raise InputError(
        f"train.warmup is {self.warmup:g} epochs; accepted: up to "
        f"train.epochs ({self.epochs})"
      )
    for name in ("nesterov", "reset_momentum"):
      if getattr(self, name) and self.optimizer != "sgd":
        raise InputError(f"train.{name} needs train.optimizer sgd")
    if bool(self.drops) != (self.schedule == "steps"):
      raise InputError(
        f"train.drops is {self.drops} with train.schedule {self.schedule!r}; "
        "accepted: epochs with steps, none with the others"
      )
    ordered = [self.warmup, *self.drops, float(self.epochs)]
    if self.drops and ordered != sorted(set(ordered)):
      raise InputError(
        f"train.drops is {self.drops}; accepted: rising, after train.warmup "
        f"({self.warmup:g}) and before train.epochs ({self.epochs})"
      )
