"""Runs of random numbers that look like real ones, for the report's tests."""

from collections.abc import Callable, Mapping, Sequence
import functools
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import analysis, store
from prunebias_jax.data.dataset import SPLITS, Dataset, Split
from prunebias_jax.evaluations import Evaluation
from prunebias_jax.report import write_report

CELEBA = (
  "5_o_Clock_Shadow",
  "Arched_Eyebrows",
  "Attractive",
  "Bags_Under_Eyes",
  "Bald",
  "Bangs",
  "Big_Lips",
  "Big_Nose",
  "Black_Hair",
  "Blond_Hair",
  "Blurry",
  "Brown_Hair",
  "Bushy_Eyebrows",
  "Chubby",
  "Double_Chin",
  "Eyeglasses",
  "Goatee",
  "Gray_Hair",
  "Heavy_Makeup",
  "High_Cheekbones",
  "Male",
  "Mouth_Slightly_Open",
  "Mustache",
  "Narrow_Eyes",
  "No_Beard",
  "Oval_Face",
  "Pale_Skin",
  "Pointy_Nose",
  "Receding_Hairline",
  "Rosy_Cheeks",
  "Sideburns",
  "Smiling",
  "Straight_Hair",
  "Wavy_Hair",
  "Wearing_Earrings",
  "Wearing_Hat",
  "Wearing_Lipstick",
  "Wearing_Necklace",
  "Wearing_Necktie",
  "Young",
)
IDENTITIES = ("Male", "Young", "Chubby", "Pale_Skin")
CLASSES = (
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
)
HOSTILE = (
  "<script>alert(1)</script>",
  'it\'s "quoted" & 100 %',
  "$\\frac{1}{0}$ {{ 7*7 }}",
  "Ünïcode 顔",
)

MakeRun = Callable[..., store.Run]
GetRun = Callable[[str], store.Run]


def _images(rng: np.random.Generator, tint: np.ndarray, size: int) -> Any:
  """Discs on a gradient: uint8 [example, size, size, 3]."""
  y, x = np.mgrid[:size, :size] / (size - 1) - 0.5
  centre = rng.uniform(-0.1, 0.1, (2, len(tint), 1, 1))
  inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 0.1
  back = rng.uniform(60, 160, (len(tint), 1, 1, 3)) + 60 * y[..., None]
  face = (110 + 110 * tint)[:, None, None, :]
  picture = np.where(inside[..., None], face, back)
  return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(
    np.uint8
  )


class _World:
  """Attributes that depend on each other and on the identities."""

  def __init__(self, names: Sequence[str], identities: Sequence[str]) -> None:
    rng = np.random.default_rng(7)
    self.rng = rng
    self.names, self.identities = tuple(names), tuple(identities)
    self.offset = rng.normal(-0.9, 0.9, len(names))
    self.link = rng.normal(0, 0.7, (len(identities), len(names)))
    self.mixing = rng.normal(0, 0.5, (5, len(names)))
    self.ease = rng.uniform(0.5, 1.6, len(names))

  def draw(self, count: int, multiclass: bool) -> tuple[np.ndarray, ...]:
    share = 0.45 / (1 + np.arange(len(self.identities)))
    draws = self.rng.random((count, len(self.identities)))
    group = (draws < share).astype(np.uint8)
    latent = self.rng.normal(size=(count, len(self.names)))
    latent += self.rng.normal(size=(count, 5)) @ self.mixing
    if multiclass:
      latent += group @ self.link
      return latent, latent.argmax(1).astype(np.int32), group
    latent += self.offset + (group - share) @ self.link
    labels = (latent > 0).astype(np.uint8)
    for place, name in enumerate(self.identities):
      if name in self.names:
        group[:, place] = labels[:, self.names.index(name)]
    return latent, labels, group

  def logits(
    self, latent: np.ndarray, group: np.ndarray, sparsity: float, seed: int
  ) -> np.ndarray:
    """Blurs more, leans on the groups more and shrinks as weights go."""
    own = np.random.default_rng([seed, 1])
    effect = own.normal(0, 0.06, latent.shape[1])
    noise = own.normal(size=latent.shape)
    rng = np.random.default_rng([seed, round(sparsity * 1e4)])
    lost = -np.log10(1 - sparsity) if sparsity < 1 else 3
    blur = 0.45 + 0.16 * lost**1.5
    late = rng.normal(size=latent.shape) * 0.2 * lost
    signal = latent + effect * (1 + lost) + blur * noise + late
    lean = 0.2 * lost * (group - group.mean(0)) @ self.link
    return (3.2 - 0.7 * lost) * self.ease * (signal + lean - 0.08 * lost)


def build(
  path: pathlib.Path,
  *,
  name: str = "faces, four seeds",
  seeds: Sequence[int] = (0, 1, 2, 3),
  sparsities: Sequence[float] = (0.0, 0.8, 0.95, 0.99),
  pruners: Sequence[str] = ("gmp",),
  quantizations: Sequence[str] = ("none",),
  names: Sequence[str] = CELEBA,
  identities: Sequence[str] = IDENTITIES,
  multiclass: bool = False,
  examples: int = 2000,
  size: int = 32,
  finished: int | None = None,
  bare: bool = False,
  facts: Mapping[str, Any] | None = None,
  analysed: bool = True,
  evaluations: Sequence[tuple[str, str]] = (),
) -> store.Run:
  """A run directory of random numbers, analysed.

  Args:
    path: the directory.
    name: the sweep's name.
    seeds: its seeds.
    sparsities: its levels; 0 is dense.
    pruners: each prunes to every level above 0.
    quantizations: every member is there in each; but for "none" its logits are
      rounded.
    names: attributes or classes.
    identities: identity attributes.
    multiclass: the outputs are exclusive classes.
    examples: in each split.
    size: of the sample images, in pixels.
    finished: how many members are done; None for all.
    bare: no facts beside the config.
    facts: replaces facts.
    analysed: whether analysis/ is written.
    evaluations: (checkpoint, split) besides.
  """
  world = _World(names, identities)
  drawn = {split: world.draw(examples, multiclass) for split in SPLITS}
  tint = world.rng.random((examples, 3))
  dataset = Dataset(
    name="made-up faces",
    task="multiclass" if multiclass else "multilabel",
    names=tuple(names),
    identity_names=tuple(identities),
    splits=_splits(world, drawn, tint, size),
  )
  members = pd.DataFrame(
    [
      {
        "pruner": pruner if level > 0 else "dense",
        "sparsity": level,
        "quantization": quantization,
        "seed": seed,
      }
      for quantization in quantizations
      for seed in seeds
      for level in sparsities
      for pruner in (pruners if level > 0 else ("dense",))
    ]
  )
  config = {
    "name": name,
    "seeds": list(seeds),
    "sparsities": list(sparsities),
    "data": {"name": "made-up faces", "size": size, "faces": {"noise": 0.03}},
    "model": {"name": "cnn", "width": 1.0},
    "train": {"epochs": 20, "batch": 64, "learning_rate": 0.1},
    "pruning": {"start": 2, "every": 1, "end": 16},
  }
  more = {} if bare else _facts(dataset, len(members))
  run = store.create(
    path,
    facts={"sweep": config, **more, **(facts or {})},
    members=members,
    dataset=dataset,
  )
  rows = members.to_dict("records")
  for index, member in enumerate(rows[:finished]):
    logits = {
      split: world.logits(
        drawn[split][0],
        drawn[split][2],
        member["sparsity"],
        member["seed"] + 100 * (member["pruner"] == "random"),
      )
      for split in ("valid", "test")
    }
    if member["quantization"] != "none":
      logits = {split: one.round() for split, one in logits.items()}
    run.write_member(index, logits)
  others = [Evaluation(*one) for one in evaluations]
  for one in others:
    run.add_evaluation(one, {})
    severity = int(one.split.rpartition(":")[2]) if ":" in one.split else 0
    for index, member in enumerate(rows[:finished]):
      level = 1 - (1 - member["sparsity"]) * 0.8**severity
      logits = world.logits(
        drawn[one.base][0],
        drawn[one.base][2],
        level * 0.9 if one.checkpoint == "best" else level,
        member["seed"],
      )
      run.write_evaluation(one, index, logits)
  if not bare:
    run.log(
      {**member, "epoch": 20, "zeros": round(member["sparsity"] * 61_000)}
      for member in rows
    )
  if analysed:
    splits = {split: run.split(split) for split in SPLITS}
    more = {tuple(one): run.split(one.split, one.checkpoint) for one in others}
    analysis.analyze(splits, evaluations=more).write(path / "analysis")
  return run


def _splits(
  world: _World,
  drawn: Mapping[str, tuple[np.ndarray, ...]],
  tint: np.ndarray,
  size: int,
) -> dict[str, Split]:
  return {
    split: Split(
      images=_images(world.rng, tint, size)
      if split == "test"
      else np.zeros((len(tint), size, size, 3), np.uint8),
      labels=drawn[split][1],
      identities=drawn[split][2],
      ids=np.array([f"{split}-{i:05d}" for i in range(len(tint))]),
    )
    for split in SPLITS
  }


def _facts(dataset: Dataset, members: int) -> dict[str, Any]:
  return {
    "created": "2026-01-31T09:30:00+00:00",
    "versions": {"prunebias_jax": "0.1.0", "jax": "0.10.0", "numpy": "2.4.1"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 2},
    "execution": {"mode": "map", "lowering": "loop"},
    "model": {"parameters": 62_184, "prunable": 61_000},
    "data": {
      "name": dataset.name,
      "fingerprint": dataset.fingerprint(),
      "sizes": {name: len(split) for name, split in dataset.splits.items()},
      "identities": list(dataset.identity_names),
    },
    "seconds": 3812.4,
    "seconds_per_member": 3812.4 / members,
  }


RUNS: dict[str, dict[str, Any]] = {
  "four": {"examples": 400},
  "one": {"examples": 200, "seeds": (3,), "name": "one seed"},
  "no_dense": {"examples": 200, "sparsities": (0.8, 0.95), "bare": True},
  "dense_only": {"examples": 200, "sparsities": (0.0,), "names": CELEBA[:6]},
  "no_identities": {"examples": 200, "identities": (), "finished": 11},
  "classes": {
    "examples": 300,
    "names": CLASSES,
    "identities": ("Night", "Indoor"),
    "multiclass": True,
  },
  "evaluated": {
    "examples": 200,
    "names": CELEBA[:6],
    "identities": ("Night", "Bald"),
    "seeds": range(3),
    "sparsities": (0.0, 0.8, 0.99),
    "evaluations": (
      *(("last", f"test:noise:{severity}") for severity in (1, 3, 5)),
      ("last", "test:blur:2"),
      ("last", "valid:blur:2"),
      ("best", "test"),
      ("best", "valid"),
    ),
  },
  "evaluated_classes": {
    "examples": 200,
    "names": CLASSES,
    "identities": (),
    "multiclass": True,
    "seeds": (0,),
    "sparsities": (0.0, 0.9),
    "pruners": ("gmp", "random"),
    "evaluations": (("last", "test:jpeg:5"), ("best", "test")),
  },
  "two_pruners": {
    "examples": 200,
    "pruners": ("gmp", "random"),
    "seeds": range(6),
    "names": CELEBA[:8],
    "identities": ("Night",),
  },
  "hostile": {
    "examples": 200,
    "name": "<img src=x onerror=\"alert(2)\"> & 'more'",
    "names": HOSTILE,
    "identities": HOSTILE[:2],
    "facts": {"versions": {"<b>jax</b>": "</style><script>alert(3)</script>"}},
  },
}


@pytest.fixture(scope="session")
def runs(
  tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], store.Run]:
  """The runs of `RUNS` by name, each built when first asked for."""

  @functools.cache
  def get(name: str) -> store.Run:
    return build(tmp_path_factory.mktemp(name), **RUNS[name])

  return get


@pytest.fixture(scope="session")
def page(runs: GetRun) -> Callable[[str], str]:
  """The reports of `RUNS` by name, as text."""

  @functools.cache
  def get(name: str) -> str:
    path = write_report(runs(name), formats=("svg",))
    return path.read_text(encoding="utf-8")

  return get


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
  """Builds a run in a directory of its own; the arguments are `build`'s."""

  def make(**options: Any) -> store.Run:
    return build(tmp_path_factory.mktemp("run"), **options)

  return make
