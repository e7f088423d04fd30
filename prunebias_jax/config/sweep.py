"""The whole config of a run: its parts, and what must fit together."""

import dataclasses
import math

from prunebias_jax.config.data import Data
from prunebias_jax.config.execution import Execution
from prunebias_jax.config.loss import Loss
from prunebias_jax.config.model import Model
from prunebias_jax.config.pruning import FINETUNED, UPDATED_DURING, Pruning
from prunebias_jax.config.train import Train
from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, part, setting

# Regimes that train in one phase, with a biased network from its beginning.
_ONE_PHASE = ("gmp-ri", "from-scratch")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seeds(Part):
  """Seeds by purpose, to study sources of variance.

  A purpose without a grid follows the member's own seed. Grids are crossed with
  each other and with `seeds`.
  """

  init: tuple[int, ...] = setting(
    (),
    help="seeds of the initialisation; empty follows seeds",
    low=0,
    below=2**32,
  )
  order: tuple[int, ...] = setting(
    (),
    help="seeds of the order of the examples; empty follows seeds",
    low=0,
    below=2**32,
  )
  augment: tuple[int, ...] = setting(
    (),
    help="seeds of the augmentation; empty follows seeds",
    low=0,
    below=2**32,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(Part):
  """Everything that defines a run: seeds x sparsity levels, and how."""

  name: str = setting("sweep", help="the run's name, the report's heading")
  seeds: tuple[int, ...] = setting(
    (0, 1, 2, 3),
    help="one member for each seed and sparsity",
    low=0,
    below=2**32,
  )
  sparsities: tuple[float, ...] = setting(
    (0.0, 0.8, 0.95, 0.99),
    help="final sparsities; 0 is the dense model",
    unit="share of weights",
    low=0,
    below=1,
  )
  data: Data = part(Data, help="the data set")
  seed: Seeds = part(Seeds, help="seeds by purpose")
  model: Model = part(Model, help="the network")
  loss: Loss = part(Loss, help="what training minimises")
  train: Train = part(Train, help="training")
  dense_apart: bool = setting(
    False,
    help="dense members are trained as `dense` says and not as `train`, as "
    "some publications did; dense and pruned then differ by more than pruning",
  )
  dense: Train = part(Train, help="training of dense members (dense_apart)")
  finetune: Train = part(
    Train, help="training after the dense phase (gmp-pt, one-shot)"
  )
  pruning: Pruning = part(Pruning, help="pruning")
  execution: Execution = part(Execution, help="execution")

  def parts(self) -> tuple["Sweep", ...]:
    """The sweeps that are trained one by one: dense members may be apart."""
    if not self.dense_apart:
      return (self,)
    pruned = tuple(level for level in self.sparsities if level > 0)
    return (
      dataclasses.replace(
        self, sparsities=(0.0,), train=self.dense, dense_apart=False
      ),
      dataclasses.replace(self, sparsities=pruned, dense_apart=False),
    )

  @property
  def phases(self) -> tuple[str, ...]:
    """Which of train, dense and finetune train some member."""
    finetunes = self.pruning.regime in FINETUNED and any(self.sparsities)
    used = {"dense": self.dense_apart, "finetune": finetunes}
    return ("train", *(name for name in used if used[name]))

  def check(self) -> None:
    """Refuses what does not fit together."""
    for name in ("seeds", "sparsities"):
      values = getattr(self, name)
      if not values:
        raise InputError(f"sweep.{name} is empty; at least one is needed")
      double = [one for one in values if values.count(one) > 1]
      if double:
        raise InputError(f"sweep.{name} holds {double[0]!r} more than once")
    for name in ("init", "order", "augment"):
      values = getattr(self.seed, name)
      double = [one for one in values if values.count(one) > 1]
      if double:
        raise InputError(f"seed.{name} holds {double[0]!r} more than once")
    gridded = self.seed.init and self.seed.order and self.seed.augment
    if gridded and len(self.seeds) > 1:
      raise InputError(
        f"seeds are {self.seeds}, but with a grid for every purpose they "
        "decide nothing; accepted: one seed"
      )
    if self.dense_apart:
      if 0.0 not in self.sparsities or len(self.sparsities) == 1:
        raise InputError(
          f"sweep.dense_apart needs sparsity 0 and others among sparsities "
          f"({self.sparsities})"
        )
      if self.pruning.regime in (*FINETUNED, "rewind"):
        raise InputError(
          f"sweep.dense_apart is for regimes that prune from random "
          f"initialisation; pruning.regime is {self.pruning.regime!r}, whose "
          "pruned members begin as dense ones"
        )
    stored = 0.0 in self.sparsities and self.execution.keep_parameters
    if self.pruning.shared_dense_parent and not stored:
      raise InputError(
        "pruning.shared_dense_parent needs sparsity 0 among sparsities and "
        "execution.keep_parameters"
      )
    self._check_loss()
    self._check_crop()
    self._check_scoring()
    self._check_pattern()
    if any(self.sparsities) and self.pruning.unit == "epochs":
      self._check_times()

  def _check_loss(self) -> None:
    """Refuses a loss that the pruning cannot go along with."""
    if self.loss.kind == "plain" or not any(self.sparsities):
      return
    pruning = self.pruning
    if pruning.regime == "rigl" or pruning.criterion == "saliency":
      raise InputError(
        f"loss.kind is {self.loss.kind!r}, but pruning.regime rigl and "
        "pruning.criterion saliency go by the gradient of the plain loss; "
        "accepted with them: plain"
      )
    if self.loss.learns_from_failure and pruning.regime not in _ONE_PHASE:
      raise InputError(
        f"loss.kind is 'learning_from_failure' with pruning.regime "
        f"{pruning.regime!r}; accepted: pruning.regime "
        f"{' or '.join(_ONE_PHASE)}, for the biased network of a trained "
        "parent is not kept"
      )

  def _check_times(self) -> None:
    """Refuses epochs that the training does not have."""
    phase = UPDATED_DURING.get(self.pruning.regime)
    if phase and self.pruning.end > getattr(self, phase).epochs:
      raise InputError(
        f"pruning.end is {self.pruning.end}, after the training "
        f"({phase}.epochs is {getattr(self, phase).epochs})"
      )
    rewinds = self.pruning.regime == "rewind"
    if rewinds and self.pruning.rewind >= self.train.epochs:
      raise InputError(
        f"pruning.rewind is {self.pruning.rewind}; accepted: less than "
        f"train.epochs ({self.train.epochs})"
      )

  def _check_scoring(self) -> None:
    """Refuses a scoring sample that cannot be cut into batches."""
    count = self.pruning.scoring_examples
    phase = "finetune" if self.pruning.regime in FINETUNED else "train"
    batch = getattr(self, phase).batch
    if count > batch and count % batch:
      raise InputError(
        f"pruning.scoring_examples is {count}; accepted: up to {phase}.batch "
        f"({batch}) or a multiple of it, or 0 for a batch"
      )

  def _check_pattern(self) -> None:
    """Refuses sparsities that an N:M pattern cannot have."""
    pattern = self.pruning.pattern
    if pattern is None:
      return
    for level in self.sparsities:
      if level and not math.isclose(level, pattern.sparsity, abs_tol=1e-9):
        raise InputError(
          f"sweep.sparsities holds {level!r}; accepted with pruning.structure "
          f"{self.pruning.structure!r}: 0 and {pattern.sparsity!r}"
        )

  def _check_crop(self) -> None:
    """Refuses shifts where windows at random places are cut instead."""
    if self.data.resize != "device":
      return
    for name in self.phases:
      crop = getattr(self, name).crop
      if crop:
        raise InputError(
          f"{name}.crop is {crop}; accepted with data.resize device: 0, for "
          "windows are cut at random places instead"
        )
