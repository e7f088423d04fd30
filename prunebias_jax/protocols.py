"""Published protocols as sweeps, for config files to build on.

Each function gives a `Sweep` at the protocol's own size; `faces_twin` makes of
it one of the same form that two CPU cores train in minutes. `paper_config`
turns on what the publications did and this project does not by default: dense
and pruned members trained differently, which is a confound.

Reference: Iofinova, Peste and Alistarh 2023, "Bias in Pruned Vision Models:
In-Depth Analysis and Countermeasures" (P1); Hooker, Moorosi, Clark, Bengio and
Denton 2020, "Characterising Bias in Compressed Models" (P2); Hooker, Courville,
Clark, Dauphin and Frome 2019, "What Do Compressed Deep Neural Networks Forget?"
(P2b).
"""

from collections.abc import Mapping
import dataclasses

from prunebias_jax.config import (
  Data,
  Execution,
  Marker,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.errors import choose

# P1's levels, with those that are reported for single labels and backdoors.
LEVELS = (0.0, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
# P1's single labels.
SINGLE = (
  "Blond_Hair",
  "Smiling",
  "Oval_Face",
  "Big_Nose",
  "Mustache",
  "Receding_Hairline",
  "Bags_Under_Eyes",
)
# Training shares marked of the negatives and of the positives, by attribute.
BACKDOORS: Mapping[str, tuple[float, float]] = {
  "Blond_Hair": (0.05, 0.95),
  "Smiling": (0.05, 0.95),
  "Wearing_Necktie": (0.05, 0.95),
  "Attractive": (0.05, 0.95),
  "Oval_Face": (0.35, 0.65),
  "Big_Nose": (0.35, 0.65),
}
# SGD of P1's joint models; its dense single-label models have the same.
_JOINT = Train(
  epochs=100,
  batch=256,
  learning_rate=0.256,
  momentum=0.875,
  warmup=5.0,
  weight_decay=2**-15,
  crop=0,
)
_SINGLE = Train(
  epochs=20,
  batch=256,
  learning_rate=0.1,
  momentum=0.9,
  weight_decay=1e-4,
  schedule="constant",
  warmup=0.0,
  crop=0,
)
_UPDATES = {
  "gmp-ri": Pruning(regime="gmp-ri", start=10, every=10, end=81),
  "gmp-pt": Pruning(regime="gmp-pt", start=1, every=4, end=60),
}
_ADAM = dataclasses.replace(
  _JOINT,
  epochs=80,
  optimizer="adam",
  learning_rate=1e-4,
  schedule="constant",
  warmup=0.0,
)


def celeba(**changes: object) -> Data:
  """CelebA at 224 px: shorter side to 256, a random or the middle window."""
  return Data(name="celeba", size=224, resize="device").override(changes)


def joint(
  model: str = "resnet18",
  regime: str = "gmp-ri",
  *,
  paper_config: bool = False,
) -> Sweep:
  """P1's models of all 40 attributes at once, 3 seeds.

  Args:
    model: resnet18, resnet50 or mobilenet_v1.
    regime: gmp-ri (100 epochs, masks updated at 10, 20, ... 80) or gmp-pt (80
      epochs more, masks updated at 1, 5, ... 57).
    paper_config: no weight decay of the dense ResNet-18 (gmp-ri) and of Adam
      (gmp-pt); momentum zeroed after each epoch of SGD.
  """
  choose(regime, _UPDATES, "regime")
  train = dataclasses.replace(_JOINT, reset_momentum=paper_config)
  undecayed = dataclasses.replace(train, weight_decay=0.0)
  sweep = Sweep(
    name=f"celeba-{model}-{regime}",
    seeds=(0, 1, 2),
    sparsities=LEVELS,
    data=celeba(),
    model=Model(name=model, stem="large"),
    train=train,
    finetune=_ADAM,
    pruning=_UPDATES[regime],
    execution=Execution(keep_best=True),
  )
  if regime == "gmp-pt" and paper_config:
    adam = dataclasses.replace(_ADAM, weight_decay=0.0)
    sweep = dataclasses.replace(sweep, finetune=adam)
  if not (model == "resnet18" and paper_config):
    return sweep
  if regime == "gmp-pt":
    return dataclasses.replace(sweep, train=undecayed)
  return dataclasses.replace(sweep, dense_apart=True, dense=undecayed)


def single(
  attribute: str = "Blond_Hair", *, paper_config: bool = False
) -> Sweep:
  """P1's ResNet-18 of one attribute, 20 epochs, 5 seeds.

  Args:
    attribute: one of CelebA's; `SINGLE` has P1's seven.
    paper_config: dense members have SGD of the joint models (warm-up and
      cosine) where pruned ones have a constant rate; momentum zeroed after
      each epoch.
  """
  train = dataclasses.replace(_SINGLE, reset_momentum=paper_config)
  sweep = Sweep(
    name=f"celeba-{attribute}",
    seeds=tuple(range(5)),
    sparsities=LEVELS,
    data=celeba(labels=[attribute]),
    model=Model(name="resnet18", stem="large"),
    train=train,
    pruning=Pruning(start=2, every=1, end=16),
    execution=Execution(keep_best=True),
  )
  if paper_config:
    dense = dataclasses.replace(_JOINT, epochs=20, reset_momentum=True)
    sweep = dataclasses.replace(sweep, dense_apart=True, dense=dense)
  return sweep


def backdoor(
  attribute: str = "Blond_Hair",
  marker: str = "grayscale",
  *,
  paper_config: bool = False,
) -> Sweep:
  """P1's backdoored CelebA: `single` with a marked, synthetic group.

  Args:
    attribute: one that `BACKDOORS` has the training shares of.
    marker: grayscale or yellow_square.
    paper_config: see `single`.
  """
  sweep = single(attribute, paper_config=paper_config)
  shares = BACKDOORS.get(attribute, (0.05, 0.95))
  marked = Marker(kind=marker, attribute=attribute, train=shares)
  return dataclasses.replace(
    sweep,
    name=f"celeba-{attribute}-{marker}",
    data=dataclasses.replace(sweep.data, marker=marked),
  )


def exemplars(attribute: str = "Blond_Hair", members: int = 30) -> Sweep:
  """P2's populations: 30 ResNet-18 of one attribute at each level.

  P2's optimiser and schedule are not recoverable from what is public: training
  is that of `single`. Quantized populations are made of it afterwards.

  Args:
    attribute: one of CelebA's.
    members: seeds.
  """
  return dataclasses.replace(
    single(attribute),
    name=f"celeba-{attribute}-exemplars",
    seeds=tuple(range(members)),
    sparsities=(0.0, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99),
  )


def pie(members: int = 30) -> Sweep:
  """P2b's way of pruning, on CIFAR-10.

  Every convolution loses the same share of its smallest weights along a cubic
  between the steps 5,000 and 8,000, every 500 of them; the last layer is left
  dense. Levels, Nesterov's momentum, weight decay, label smoothing and the
  drops after 1/3, 2/3 and 8/9 of training are P2b's for ImageNet.

  Args:
    members: seeds.
  """
  return Sweep(
    name="cifar10-pie",
    seeds=tuple(range(members)),
    sparsities=(0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
    data=Data(name="tfds:cifar10", size=32),
    model=Model(name="resnet18"),
    # 45,000 images in batches of 128: 31,941 steps.
    train=Train(
      epochs=91,
      batch=128,
      learning_rate=0.05,
      nesterov=True,
      warmup=5.0,
      schedule="steps",
      drops=(30.0, 60.0, 80.0),
      label_smoothing=0.1,
      crop=4,
    ),
    pruning=Pruning(
      unit="steps",
      start=5000,
      every=500,
      end=8001,
      initial=0.0,
      allocation="uniform",
      exclude=("head/kernel",),
    ),
  )


def faces_twin(
  sweep: Sweep, network: Model | None = None, *, epochs: int = 10
) -> Sweep:
  """A protocol on procedural faces of 32 px, in minutes on two cores.

  Labels, marker, levels, regime, optimisers and what dense and pruned members
  differ in stay; epochs, warm-up and mask updates shrink together.

  Args:
    sweep: a protocol whose masks are updated in epochs.
    network: by default the small one, cnn.
    epochs: of `train`; `finetune` and mask updates in proportion.
  """
  network = network or Model()
  name = sweep.name.replace("celeba", "faces")
  factor = epochs / sweep.train.epochs
  phase = "finetune" if sweep.pruning.regime == "gmp-pt" else "train"
  last = round(getattr(sweep, phase).epochs * factor)
  return sweep.override(
    {
      "name": name.replace(sweep.model.name, network.name),
      "data.name": "faces",
      "data.size": 32,
      "data.resize": "host",
      "data.train": 6000,
      "data.valid": 2000,
      "data.test": 2000,
      "model": network.to_dict(),
      **_shorter("train", sweep.train, factor),
      **_shorter("finetune", sweep.finetune, factor),
      **_shorter("dense", sweep.dense, factor),
      "pruning.start": max(1, round(sweep.pruning.start * factor)),
      "pruning.every": 1,
      "pruning.end": max(2, min(last, round(sweep.pruning.end * factor))),
    }
  )


def digits_twin(sweep: Sweep, *, epochs: int = 12) -> Sweep:
  """A protocol of exclusive classes on handwritten digits, in minutes.

  Args:
    sweep: a protocol whose masks are updated in steps.
    epochs: of `train`; drops and mask updates in proportion.
  """
  batch, examples = 32, 1077
  factor = epochs / sweep.train.epochs
  before = sweep.train.epochs * (45000 // sweep.train.batch)
  steps = epochs * (examples // batch) / before
  return sweep.override(
    {
      "name": sweep.name.replace("cifar10", "digits"),
      "data.name": "digits",
      "data.size": 16,
      "data.digits.view": "classes",
      "model.name": "cnn",
      "train.epochs": epochs,
      "train.batch": batch,
      "train.warmup": sweep.train.warmup * factor,
      "train.drops": [drop * factor for drop in sweep.train.drops],
      "train.flip": False,
      "train.crop": 1,
      "pruning.start": round(sweep.pruning.start * steps),
      "pruning.every": round(sweep.pruning.every * steps),
      "pruning.end": round((sweep.pruning.end - 1) * steps) + 1,
    }
  )


def _shorter(name: str, train: Train, factor: float) -> dict[str, object]:
  """Fewer epochs, and the batch that 6,000 examples call for."""
  return {
    f"{name}.epochs": max(1, round(train.epochs * factor)),
    f"{name}.warmup": train.warmup * factor,
    f"{name}.batch": 64,
    f"{name}.crop": 2,
  }
