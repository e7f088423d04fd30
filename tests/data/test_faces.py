import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from prunebias_jax.config import Data, Faces
from prunebias_jax.data import faces
from prunebias_jax.data.faces import attributes, renderer, sampling, scene
from prunebias_jax.errors import InputError

TINY = Data(train=24, valid=4, test=3)
SAMPLE_BLOCKS = 30  # 30,720 examples
NOISE = 0.03


@pytest.fixture(autouse=True)
def _own_cache(
  tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def population() -> sampling.Population:
  return sampling.fit(label_noise=NOISE)


@pytest.fixture(scope="module")
def sample(population: sampling.Population) -> sampling.Block:
  return draw(population)


def draw(
  population: sampling.Population, blocks: int = SAMPLE_BLOCKS
) -> sampling.Block:
  drawn = [sampling.draw_block(population, (1, 0, i), 1) for i in range(blocks)]
  return sampling.Block(
    *(np.concatenate(parts) for parts in zip(*drawn, strict=True))
  )


def column(name: str) -> int:
  return attributes.INDEX[name]


def change(data: Data, **knobs: object) -> Data:
  return dataclasses.replace(data, faces=Faces(**knobs))  # type: ignore[arg-type]


# Attributes


def test_there_are_celebas_40_attributes_in_its_order() -> None:
  assert len(attributes.NAMES) == 40
  assert attributes.NAMES[0] == "5_o_Clock_Shadow"
  where = [attributes.NAMES.index(name) for name in attributes.IDENTITIES]
  assert where == [20, 39, 13, 26]
  assert list(attributes.NAMES) == sorted(
    attributes.NAMES, key=lambda name: name.replace("_", "").lower()
  )


def test_loadings_leave_every_score_a_part_of_its_own() -> None:
  shared = np.square(attributes.loadings()).sum(axis=1)
  assert shared.max() < 1
  mixing = sampling.mixing_matrix()
  np.testing.assert_allclose(np.diag(mixing @ mixing.T), 1, atol=1e-12)


# Labels


def test_clean_rates_are_the_published_ones(sample: sampling.Block) -> None:
  error = np.abs(sample.clean.mean(axis=0) - attributes.rates())
  assert error.max() < 0.01


def test_noisy_rates_are_the_published_ones(sample: sampling.Block) -> None:
  noisy = sample.clean ^ sample.flipped
  error = np.abs(noisy.mean(axis=0) - attributes.rates())
  assert error.max() < 0.01


def test_the_sign_of_the_margin_is_the_clean_label(
  sample: sampling.Block,
) -> None:
  np.testing.assert_array_equal(sample.clean, sample.margins > 0)


@pytest.mark.parametrize("family", attributes.RIVALS)
def test_at_most_one_rival_is_positive(
  sample: sampling.Block, family: tuple[str, ...]
) -> None:
  columns = [column(name) for name in family]
  assert sample.clean[:, columns].sum(axis=1).max() == 1


@pytest.mark.parametrize(("winner", "losers"), attributes.OVERRULES)
def test_what_overrules_excludes(
  sample: sampling.Block, winner: str, losers: tuple[str, ...]
) -> None:
  rows = sample.clean[:, column(winner)] == 1
  assert rows.any()
  assert not sample.clean[rows][:, [column(name) for name in losers]].any()


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03, 0.15, 0.3])
def test_the_share_of_flips_is_the_label_noise(noise: float) -> None:
  drawn = draw(sampling.fit(label_noise=noise), blocks=12)
  assert abs(drawn.flipped.mean() - noise) < 0.002


def test_flips_concentrate_near_the_boundary(sample: sampling.Block) -> None:
  distance = np.abs(sample.margins)
  near, far = distance < 0.1, distance > 1
  flipped = sample.flipped == 1
  assert flipped[near].mean() > 10 * flipped[far].mean()
  assert flipped[near].mean() < 0.5
  assert np.median(distance[flipped]) < 0.3 * np.median(distance)


def test_known_pairs_go_together(sample: sampling.Block) -> None:
  phi = np.corrcoef(sample.clean.T)

  def of(first: str, second: str) -> float:
    return float(phi[column(first), column(second)])

  assert of("Male", "Wearing_Lipstick") < -0.6
  assert of("Wearing_Lipstick", "Heavy_Makeup") > 0.6
  assert of("Smiling", "High_Cheekbones") > 0.5
  assert of("Chubby", "Double_Chin") > 0.4
  assert of("Young", "Gray_Hair") < -0.3
  # The rare crossing that studies of CelebA look at.
  blond_men = (
    sample.clean[:, column("Blond_Hair")] * sample.clean[:, column("Male")]
  )
  assert 0.004 < blond_men.mean() < 0.014


@pytest.mark.parametrize("correlation", [-0.95, 0.0, 0.9])
def test_a_linked_correlation_is_exact_and_leaves_the_rest(
  correlation: float,
) -> None:
  before = sampling.mixing_matrix()
  after = sampling.linked(before, "Male", "Smiling", correlation)
  old, new = before @ before.T, after @ after.T
  np.testing.assert_allclose(np.diag(new), 1, atol=1e-12)
  assert new[column("Male"), column("Smiling")] == pytest.approx(correlation)
  assert np.linalg.eigvalsh(new).min() > 0
  others = np.arange(len(old)) != column("Smiling")
  np.testing.assert_array_equal(
    new[np.ix_(others, others)], old[np.ix_(others, others)]
  )


def test_a_linked_correlation_shows_in_labels_at_the_published_rates() -> None:
  phi = {}
  for correlation in (-0.9, 0.9):
    link = ("Male", "Blond_Hair", correlation)
    drawn = draw(sampling.fit(link=link))
    error = np.abs(drawn.clean.mean(axis=0) - attributes.rates())
    assert error.max() < 0.01
    phi[correlation] = np.corrcoef(
      drawn.clean[:, column("Male")], drawn.clean[:, column("Blond_Hair")]
    )[0, 1]
  assert phi[-0.9] < -0.3
  assert phi[0.9] > 0.3


# Pictures


def toggled(name: str, size: int = 32, male: bool = False) -> np.ndarray:
  """Two pictures of one face, without and with the attribute."""
  margins = np.full((2, 40), -3.0, np.float32)
  margins[:, [column("Young"), column("No_Beard")]] = 3
  margins[:, column("Male")] = 3 if male else -3
  margins[:, column(name)] = (-3, 3)
  style = np.full((2, len(scene.STYLES)), 0.4, np.float32)
  return renderer.render(
    margins=margins,
    style=style,
    grain=np.zeros(2, np.uint32),
    difficulty=np.zeros(2, np.float32),
    size=size,
  )


@pytest.mark.parametrize("male", [False, True])
@pytest.mark.parametrize("name", attributes.NAMES)
def test_each_attribute_shows_unless_said_otherwise(
  name: str, male: bool
) -> None:
  without, with_it = toggled(name, male=male).astype(int)
  changed = np.abs(with_it - without).max(axis=-1)
  if name in attributes.ONLY_THROUGH_CORRELATES:
    assert changed.max() == 0
  else:
    # At least four pixels change clearly even at the smallest size.
    assert (changed > 25).sum() >= 4


def test_the_same_face_at_every_size() -> None:
  large = toggled("Smiling", size=128)[1].astype(float)
  for size in (32, 64):
    factor = 128 // size
    small = toggled("Smiling", size=size)[1].astype(float)
    mean = large.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    assert np.abs(small - mean).mean() < 4
    assert np.corrcoef(small.ravel(), mean.ravel())[0, 1] > 0.97


def test_attributes_fade_in_more_slowly_when_it_is_harder() -> None:
  margin = np.array([-2, -0.1, 0, 0.1, 2], np.float32)
  crisp = np.asarray(renderer.intensities(margin, 0.0))
  np.testing.assert_array_equal(crisp, [0, 0, 0.5, 1, 1])
  slow = np.asarray(renderer.intensities(margin, 1.0))
  assert slow[0] == 0
  assert 0 < slow[1] < slow[2] == 0.5 < slow[3] < slow[4] == 1


# Data sets


def test_load_gives_a_whole_data_set() -> None:
  data = faces.load(TINY)
  train = data.splits["train"]
  assert (data.name, data.task, data.names) == (
    "faces",
    "multilabel",
    attributes.NAMES,
  )
  assert data.identity_names == attributes.IDENTITIES
  assert train.images.shape == (24, 32, 32, 3)
  assert train.images.dtype == train.labels.dtype == np.uint8
  truth = train.truth
  assert truth["margin"].dtype == np.float32
  np.testing.assert_array_equal(truth["clean"], truth["margin"] > 0)
  np.testing.assert_array_equal(train.labels, truth["clean"] ^ truth["flipped"])
  columns = [column(name) for name in attributes.IDENTITIES]
  np.testing.assert_array_equal(train.identities, train.labels[:, columns])
  assert train.ids[4] == "face-0000012"


def test_identities_can_be_chosen() -> None:
  data = faces.load(dataclasses.replace(TINY, identities=("Smiling", "Male")))
  assert data.identity_names == ("Smiling", "Male")
  split = data.splits["test"]
  np.testing.assert_array_equal(
    split.identities, split.labels[:, [column("Smiling"), column("Male")]]
  )


def test_splits_and_seeds_differ() -> None:
  data = faces.load(TINY)
  other = faces.load(dataclasses.replace(TINY, seed=1))
  train, valid = data.splits["train"], data.splits["valid"]
  assert (train.images[:4] != valid.images).any(axis=(1, 2, 3)).all()
  assert (
    (train.images != other.splits["train"].images).any(axis=(1, 2, 3)).all()
  )


def test_the_same_config_gives_the_same_bits(
  monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
  first = faces.load(TINY).fingerprint()
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path / "another"))
  assert faces.load(TINY).fingerprint() == first


def test_making_more_gives_the_same_first_examples() -> None:
  few = faces.load(TINY).splits["train"]
  more = faces.load(dataclasses.replace(TINY, train=300)).splits["train"]
  for name in ("images", "labels", "identities", "ids"):
    np.testing.assert_array_equal(
      getattr(more, name)[:24], getattr(few, name), err_msg=name
    )
  for name, values in few.truth.items():
    np.testing.assert_array_equal(more.truth[name][:24], values, err_msg=name)


@pytest.mark.parametrize("size", [64, 128])
def test_labels_do_not_depend_on_the_size(size: int) -> None:
  small = faces.load(TINY).splits["train"]
  large = faces.load(dataclasses.replace(TINY, size=size)).splits["train"]
  assert large.images.shape == (24, size, size, 3)
  np.testing.assert_array_equal(large.labels, small.labels)
  np.testing.assert_array_equal(large.truth["margin"], small.truth["margin"])


def test_only_the_hard_group_is_drawn_harder() -> None:
  knobs = {"difficulty": 0.2}
  easy = faces.load(change(TINY, **knobs)).splits["train"]
  hard = faces.load(
    change(TINY, **knobs, hard_identity="Male", hard_extra=0.6)
  ).splits["train"]
  np.testing.assert_array_equal(easy.labels, hard.labels)
  male = easy.truth["clean"][:, column("Male")] == 1
  same = (easy.images == hard.images).all(axis=(1, 2, 3))
  assert male.any()
  np.testing.assert_array_equal(same, ~male)


def test_links_keep_everyone_elses_scores() -> None:
  plain = faces.load(TINY).splits["train"]
  linked = faces.load(
    change(
      TINY,
      linked_identity="Male",
      linked_attribute="Smiling",
      linked_correlation=0.9,
    )
  ).splits["train"]
  changed = (plain.truth["margin"] != linked.truth["margin"]).any(axis=0)
  assert [
    name for name, c in zip(attributes.NAMES, changed, strict=True) if c
  ] == ["Smiling"]


# The cache


def entries() -> list[Path]:
  return sorted(Path(os.environ["PRUNEBIAS_CACHE"]).iterdir())


def test_a_second_load_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
  first = faces.load(TINY).fingerprint()
  assert len(entries()) == 3
  monkeypatch.setattr(renderer, "render", None)
  monkeypatch.setattr(sampling, "fit", None)
  assert faces.load(TINY).fingerprint() == first


def test_a_damaged_entry_is_made_again() -> None:
  first = faces.load(TINY).fingerprint()
  path = next(entry for entry in entries() if "train" in entry.name)
  with (path / "images.npy").open("r+b") as file:
    file.seek(-1, os.SEEK_END)
    file.write(b"\x07")
  assert faces.load(TINY).fingerprint() == first


def test_whatever_shapes_the_pixels_is_in_the_key(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  tiny = Data(train=1, valid=1, test=1)
  variants = [
    tiny,
    dataclasses.replace(tiny, size=64),
    dataclasses.replace(tiny, seed=5),
    change(tiny, label_noise=0.1),
    change(tiny, difficulty=0.1),
    change(tiny, hard_identity="Male", hard_extra=0.3),
    change(tiny, linked_identity="Male", linked_attribute="Smiling"),
  ]
  for count, variant in enumerate(variants, start=1):
    faces.load(variant)
    assert len(entries()) == 3 * count
  monkeypatch.setattr(faces, "RENDERER_VERSION", -1)
  faces.load(tiny)
  assert len(entries()) == 3 * len(variants) + 3


# Bad input


@pytest.mark.parametrize(
  ("change_data", "change_faces", "message"),
  [
    ({"size": 48}, {}, "48"),
    ({"identities": ("Mael",)}, {}, "'Mael'"),
    ({}, {"hard_identity": "Mael", "hard_extra": 0.1}, "'Mael'"),
    ({}, {"hard_extra": 0.1}, "go together"),
    ({}, {"hard_identity": "Male"}, "go together"),
    ({}, {"linked_identity": "Male"}, "go together"),
    ({}, {"linked_attribute": "Smiling"}, "go together"),
    ({}, {"linked_correlation": 0.5}, "go together"),
    (
      {},
      {"linked_identity": "Mael", "linked_attribute": "Smiling"},
      "'Mael'",
    ),
    (
      {},
      {"linked_identity": "Male", "linked_attribute": "Smilling"},
      "'Smilling'",
    ),
    (
      {},
      {"linked_identity": "Male", "linked_attribute": "Male"},
      "linked_identity itself",
    ),
    (
      {"identities": ("Bald",)},
      {
        "linked_identity": "Bald",
        "linked_attribute": "Bangs",
        "linked_correlation": 0.5,
      },
      "cannot be had",
    ),
  ],
)
def test_bad_input_is_refused_in_one_line(
  change_data: dict, change_faces: dict, message: str
) -> None:
  data = dataclasses.replace(TINY, faces=Faces(**change_faces), **change_data)
  with pytest.raises(InputError, match=message) as caught:
    faces.load(data)
  assert "\n" not in str(caught.value)
  assert not entries()
