"""The config of a run: `Sweep` and its parts, typed, frozen and checked."""

import dataclasses

from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, part, setting

# What makes XLA choose only algorithms that give the same bits in every run.
DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"
NETWORKS = ("cnn", "resnet18", "resnet50", "mobilenet_v1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faces(Part):
  """Knobs of the procedural faces (data.name = faces)."""

  label_noise: float = setting(
    0.03,
    help="mean share of labels flipped, mostly near the boundary",
    unit="share of labels",
    low=0,
    below=0.5,
  )
  difficulty: float = setting(
    0.5,
    help="how gradually attributes fade in around their boundary, and how "
    "much clutter there is; 0 is clean and crisp",
    low=0,
    high=1,
  )
  linked_identity: str = setting(
    "",
    help="identity attribute whose correlation with linked_attribute is "
    "set; empty leaves the built-in correlations",
  )
  linked_attribute: str = setting(
    "", help="attribute whose correlation with linked_identity is set"
  )
  linked_correlation: float = setting(
    0.0,
    help="correlation of the two latent scores of linked_identity and "
    "linked_attribute",
    low=-0.95,
    high=0.95,
  )
  hard_identity: str = setting(
    "", help="identity attribute whose positive group is harder; empty for none"
  )
  hard_extra: float = setting(
    0.0, help="difficulty added for the group of hard_identity", low=0, high=1
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits(Part):
  """Knobs of the handwritten digits (data.name = digits)."""

  view: str = setting(
    "attributes",
    help="attributes (multi-label) or classes (ten digits)",
    choices=lambda: ("attributes", "classes"),
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table(Part):
  """Columns of a table of examples (data.name = table)."""

  file: str = setting(
    "",
    help="CSV file, or Parquet (*.parquet); a relative path begins at "
    "data.root",
  )
  id: str = setting("id", help="column of ids, all distinct")
  path: str = setting(
    "path", help="column of pictures' files; relative paths begin at data.root"
  )
  split: str = setting(
    "split", help="column that says train, valid or test of every example"
  )
  labels: tuple[str, ...] = setting(
    (), help="columns of 0 and 1: the attributes to predict"
  )
  classes: str = setting(
    "", help="column of exclusive classes to predict, in place of labels"
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tfds(Part):
  """Features of a tensorflow-datasets data set (data.name = tfds:NAME)."""

  image: str = setting("image", help="feature that is the picture")
  label: str = setting(
    "label", help="feature that is the class; unused where attributes are given"
  )
  attributes: tuple[str, ...] = setting(
    (),
    help="features of 0 and 1 to predict (multi-label), nested ones as "
    "attributes/Male",
  )
  id: str = setting(
    "", help="feature that is the id; empty numbers the records of each split"
  )
  train: str = setting("train", help="split to train on")
  valid: str = setting(
    "validation",
    help="validation split; where there is none, data.valid examples of the "
    "training split are it (0: a tenth)",
  )
  test: str = setting("test", help="test split")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data(Part):
  """Which images, how many and at what size."""

  name: str = setting(
    "faces", help="data set: digits, faces, table or tfds:NAME"
  )
  root: str = setting(
    "",
    help="folder of the data set's files (celeba: the official ones; "
    "table: the pictures; tfds: data_dir)",
  )
  size: int = setting(
    32, help="height and width of the images", unit="px", low=8
  )
  train: int = setting(
    0, help="training examples; 0 takes the data set's own number", low=0
  )
  valid: int = setting(
    0, help="validation examples; 0 takes the data set's own number", low=0
  )
  test: int = setting(
    0, help="test examples; 0 takes the data set's own number", low=0
  )
  seed: int = setting(
    0, help="seed of a synthetic data set and of splits drawn here", low=0
  )
  identities: tuple[str, ...] = setting(
    (),
    help="identity attributes that define groups; empty takes the data "
    "set's own (table: columns, tfds: features, none by default)",
  )
  labels: tuple[str, ...] = setting(
    (),
    help="attributes to predict, one or more; empty takes all that the data "
    "set has",
  )
  faces: Faces = part(Faces, help="knobs of faces")
  digits: Digits = part(Digits, help="knobs of digits")
  table: Table = part(Table, help="columns of table")
  tfds: Tfds = part(Tfds, help="features of tfds:NAME")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model(Part):
  """Which network."""

  name: str = setting(
    "cnn",
    help="network: cnn (three convolutions), resnet18, resnet50, mobilenet_v1, "
    "or a linen module of your own as package.module:attribute",
  )
  width: float = setting(
    1.0,
    help="multiplies all channels of a built-in network: cnn 16 to 64, "
    "resnet18 64 to 512, resnet50 64 to 2048, mobilenet_v1 32 to 1024",
    low=0.01,
  )
  stem: str = setting(
    "small",
    help="first layers of resnet18, resnet50 and mobilenet_v1: small keeps the "
    "image's size (for 32 to 64 px), large halves it once (mobilenet_v1) or "
    "twice (for 224 px)",
    choices=lambda: ("small", "large"),
  )

  def check(self) -> None:
    """Refuses an unknown network, and settings that one's own cannot have."""
    module, colon, attribute = self.name.partition(":")
    parts = [*module.split("."), attribute]
    if colon and all(part.isidentifier() for part in parts):
      if self.width != 1 or self.stem != "small":
        raise InputError(
          f"model.width is {self.width:g} and model.stem {self.stem!r}, but "
          f"{self.name} is not built in; accepted: 1 and 'small'"
        )
    elif self.name not in NETWORKS:
      raise InputError(
        f"model.name is {self.name!r}; accepted: {', '.join(NETWORKS)}, or "
        "package.module:attribute"
      )


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
    help="shift training images by up to this much, zeros beyond the edge",
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruning(Part):
  """When weights are pruned, by global magnitude.

  Masks are updated at the beginning of the epochs start, start + every, ...
  below end; sparsity follows a cubic and the last update reaches the level.
  gmp-ri prunes while training from random initialisation. gmp-pt trains dense
  first and prunes during `finetune`, whose epochs are then counted here.
  one-shot trains dense, prunes once and fine-tunes.
  """

  regime: str = setting(
    "gmp-ri",
    help="gmp-ri (prune while training), gmp-pt (train dense, then prune while "
    "fine-tuning) or one-shot (train dense, prune at once, fine-tune)",
    choices=lambda: ("gmp-ri", "gmp-pt", "one-shot"),
  )
  shared_dense_parent: bool = setting(
    False,
    help="gmp-pt and one-shot: all seeds start from the dense member of the "
    "first seed, not each from its own",
  )

  start: int = setting(
    2, help="epoch of the first mask update", unit="epochs", low=0
  )
  every: int = setting(
    1, help="epochs between mask updates", unit="epochs", low=1
  )
  end: int = setting(
    8, help="mask updates stop before this epoch", unit="epochs", low=1
  )
  initial: float = setting(
    0.05,
    help="sparsity at the first update",
    unit="share of weights",
    low=0,
    below=1,
  )
  allocation: str = setting(
    "global",
    help="how the sparsity is spread over layers: global (all layers are "
    "compared with each other), uniform (the same share of every layer) or "
    "erk (Erdos-Renyi-kernel: small layers stay denser)",
    choices=lambda: ("global", "uniform", "erk"),
  )
  exclude: tuple[str, ...] = setting(
    (),
    help="layers that are never pruned nor counted: patterns over the paths "
    "of kernels, such as head/kernel or */shortcut/* (* stands for anything)",
  )

  def check(self) -> None:
    """Refuses a schedule that ends before it begins."""
    if self.end <= self.start:
      raise InputError(
        f"pruning.end is {self.end}, not after pruning.start ({self.start})"
      )


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
  train: Train = part(Train, help="training")
  finetune: Train = part(
    Train, help="training after the dense phase (gmp-pt, one-shot)"
  )
  pruning: Pruning = part(Pruning, help="pruning")
  execution: Execution = part(Execution, help="execution")

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
    if self.pruning.shared_dense_parent:
      if 0.0 not in self.sparsities or not self.execution.keep_parameters:
        raise InputError(
          "pruning.shared_dense_parent needs sparsity 0 among sparsities and "
          "execution.keep_parameters"
        )
      if self.pruning.regime == "gmp-ri":
        raise InputError(
          "pruning.shared_dense_parent needs pruning.regime gmp-pt or one-shot"
        )
    scheduled = {"gmp-ri": "train", "gmp-pt": "finetune"}
    phase = scheduled.get(self.pruning.regime)
    prunes = any(level > 0 for level in self.sparsities)
    if phase is None or not prunes:
      return
    epochs = getattr(self, phase).epochs
    if self.pruning.end > epochs:
      raise InputError(
        f"pruning.end is {self.pruning.end}, after the training "
        f"({phase}.epochs is {epochs})"
      )
