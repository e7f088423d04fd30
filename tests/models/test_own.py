"""A user's own module, named in a config."""

import json
import sys

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax import models
from prunebias_jax.config import Model, Sweep
from prunebias_jax.errors import InputError
from prunebias_jax.training.export import load_exported

SOURCE = """
import flax.linen as nn
import jax.numpy as jnp


class Plain(nn.Module):
  outputs: int

  @nn.compact
  def __call__(self, images, train):
    return nn.Dense(self.outputs)(images.reshape(len(images), -1))


class Typed(Plain):
  lowering: str = "none"
  dtype: type = None


def made(outputs, width=3):
  return Plain(outputs)


def more(outputs, depth):
  return Plain(outputs)


def number(outputs):
  return outputs


THREE = 3
READY = Plain(4)


class Transposed(Plain):
  @nn.compact
  def __call__(self, images, train):
    return nn.Dense(self.outputs)(images.reshape(len(images), -1)).T


class Evaluated(Plain):
  @nn.compact
  def __call__(self, images, train):
    out = nn.Dense(self.outputs)(images.reshape(len(images), -1))
    return (out, out) if train else out


class Half(Plain):
  @nn.compact
  def __call__(self, images, train):
    images = images.reshape(len(images), -1)
    return nn.Dense(self.outputs, dtype=jnp.bfloat16)(images)


class HalfKept(Plain):
  @nn.compact
  def __call__(self, images, train):
    images = images.reshape(len(images), -1)
    return nn.Dense(self.outputs, param_dtype=jnp.bfloat16)(images)


class Untrained(Plain):
  @nn.compact
  def __call__(self, images):
    return nn.Dense(self.outputs)(images.reshape(len(images), -1))


class Dropping(Plain):
  @nn.compact
  def __call__(self, images, train):
    images = nn.Dropout(0.5, deterministic=not train)(images)
    return nn.Dense(self.outputs)(images.reshape(len(images), -1))


class Counting(Plain):
  @nn.compact
  def __call__(self, images, train):
    self.variable("counts", "steps", jnp.zeros, ())
    return nn.Dense(self.outputs)(images.reshape(len(images), -1))


class Unprunable(Plain):
  @nn.compact
  def __call__(self, images, train):
    weights = self.param("weights", nn.initializers.ones, (3, self.outputs))
    return images.mean((1, 2)) @ weights
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
  """Makes attributes of a module in a folder of its own."""
  (tmp_path / "package_of_mine").mkdir()
  (tmp_path / "package_of_mine" / "nets.py").write_text(SOURCE)
  (tmp_path / "broken_of_mine.py").write_text("import nothing_of_this_name")
  monkeypatch.syspath_prepend(tmp_path)
  yield lambda attribute: build(f"package_of_mine.nets:{attribute}")
  for name in [name for name in sys.modules if "_of_mine" in name]:
    del sys.modules[name]


def build(name):
  return models.build(
    Model(name=name),
    outputs=4,
    lowering="matmul",
    dtype=jnp.bfloat16,
    image_shape=(8, 8, 3),
  )


@pytest.mark.parametrize("attribute", ["Plain", "made"])
def test_a_class_or_a_function(own, attribute):
  model = own(attribute)
  assert isinstance(model, nn.Module)
  assert model.outputs == 4


def test_lowering_and_type_are_handed_over_where_taken(own):
  model = own("Typed")
  assert (model.lowering, model.dtype) == ("matmul", jnp.bfloat16)


@pytest.mark.parametrize(
  ("attribute", "message"),
  [
    ("Missing", "nets.py has no 'Missing'"),
    ("THREE", "which is a int; accepted: a linen module class, or a function"),
    ("READY", "which is a Plain; accepted: a linen module class"),
    ("number", "which gives a int; accepted: a linen module class"),
    ("more", "cannot be called with outputs: TypeError: .*'depth'"),
    ("Transposed", r"gives float32 \[4, 5\] for 5 images; .* \[5, 4\]"),
    ("Evaluated", "gives tuple for 5 images"),
    ("Half", r"gives bfloat16 \[5, 4\] for 5 images; accepted: float32"),
    ("HalfKept", "has parameters of bfloat16; accepted: float32"),
    ("Untrained", "fails on images of 8x8x3 .*'train'"),
    ("Dropping", "fails on images of 8x8x3 .*dropout"),
    ("Counting", "variables of the kind counts; accepted: params and batch_"),
    ("Unprunable", "nothing to prune: no parameter is called kernel"),
  ],
)
def test_what_does_not_fit_is_refused_in_one_line(own, attribute, message):
  with pytest.raises(InputError, match=message) as caught:
    own(attribute)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("nothing_of_mine:Net", "No module named 'nothing_of_mine'"),
    ("broken_of_mine:Net", "broken_of_mine cannot be imported .*_this_name"),
  ],
)
@pytest.mark.usefixtures("own")
def test_what_cannot_be_imported_is_refused_in_one_line(name, message):
  with pytest.raises(InputError, match=message) as caught:
    build(name)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  "name", ["resnet34", "a:", ":b", "a.b", "a b:c", "a:b:c", "a:b.c", "a..b:c"]
)
def test_a_name_of_neither_form(name):
  with pytest.raises(InputError, match=r"accepted: cnn, .* package\.module:at"):
    Model(name=name)


@pytest.mark.parametrize("change", [{"width": 0.5}, {"stem": "large"}])
def test_ones_own_network_has_no_width_or_stem(change):
  with pytest.raises(InputError, match="a:b is not built in; accepted: 1 and"):
    Model(name="a:b", **change)


def test_ones_own_network_survives_json():
  sweep = Sweep(model=Model(name="a.b:C"))
  assert Sweep.from_dict(json.loads(json.dumps(sweep.to_dict()))) == sweep


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
  "name", ["cnn", "mobilenet_v1", "resnet50", "package_of_mine.nets:Plain"]
)
def test_an_exported_network_is_made_again(tmp_path, name):
  config = Model(name=name, width=1.0 if ":" in name else 0.05)
  model = models.build(config, outputs=2, lowering="canonical")
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False)
  )
  variables = jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)
  flat = traverse_util.flatten_dict(variables, sep="/")
  folder = tmp_path / "exported"
  folder.mkdir()
  np.savez(folder / "parameters.npz", allow_pickle=False, **flat)
  description = {
    "model": {"name": config.name, "width": config.width, "stem": config.stem},
    "outputs": ["A", "B"],
    "image_shape": [8, 8, 3],
  }
  (folder / "description.json").write_text(json.dumps(description))
  again, loaded = load_exported(folder)
  logits = jax.eval_shape(
    lambda v: again.apply(v, jnp.zeros((3, 8, 8, 3)), train=False), loaded
  )
  assert logits.shape == (3, 2)
