"""Configs are checked at construction, from JSON and from files."""

import json

import pytest

from prunebias_jax.config import Pruning, Sweep, Train
from prunebias_jax.config_file import load_config
from prunebias_jax.errors import InputError
from prunebias_jax.settings import parse

LEARNS = "learning_from_failure"


def change(**changes):
  return Sweep().override(
    {path.replace("__", "."): value for path, value in changes.items()}
  )


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"sparsities": (0.5, 1.0)},
      r"sparsities is 1.0; accepted: \[0, 1\)",
    ),
    ({"sparsities": (-0.1,)}, r"-0.1; accepted: \[0, 1\)"),
    ({"sparsities": (float("nan"),)}, "nan; accepted"),
    ({"sparsities": ()}, "sweep.sparsities is empty"),
    ({"seeds": ()}, "sweep.seeds is empty"),
    ({"seeds": (1, 2, 1)}, "sweep.seeds holds 1 more than once"),
    ({"sparsities": (0.5, 0.5)}, "sweep.sparsities holds 0.5 more than once"),
    ({"seeds": (2**32,)}, r"accepted: \[0, 4.29497e\+09\)"),
    ({"seeds": "0,1"}, "sweep.seeds is '0,1', not a list"),
    ({"train__epochs": 2.5}, "train.epochs is 2.5, not int"),
    ({"train__epochs": True}, "train.epochs is True, not int"),
    ({"train__flip": 1}, "train.flip is 1, not bool"),
    ({"train__optimizer": "lamb"}, "'lamb'; accepted: sgd, adam"),
    ({"train__epoch": 3}, "'train.epoch'; did you mean 'train.epochs'"),
    ({"pruning__end": 1}, r"pruning.end is 1, not after pruning.start \(2\)"),
    ({"train__epochs": 3}, r"pruning.end is 8, after the training"),
    ({"train__warmup": 20.0}, "train.warmup is 20 epochs"),
    (
      {"pruning__regime": "from-scratch", "pruning__start": 3},
      r"pruning.start is 3, which has no effect with .* from-scratch; .*: 2 \(",
    ),
    (
      {"pruning__regime": "rewind", "pruning__initial": 0.0},
      r"pruning.initial is 0.0, which has no effect .* rewind; accepted: 0.05",
    ),
    (
      {"pruning__rewind": 3},
      "rewind is 3, which .*, or pruning.regime rewind",
    ),
    *[
      (
        {"pruning__regime": regime, f"pruning__{name}": value},
        rf"pruning.{name} is '{value}', which has no effect with .*{regime}",
      )
      for regime, name, value in (
        ("rigl", "structure", "2:4"),
        ("rigl", "schedule", "constant"),
        ("from-scratch", "schedule", "constant"),
        ("rewind", "schedule", "constant"),
      )
    ],
    (
      {"pruning__regime": "rewind", "dense_apart": True},
      "dense_apart is for regimes that prune from random .* is 'rewind'",
    ),
    (
      {"pruning__regime": "rigl", "pruning__start": 0},
      "pruning.start is 0; accepted with pruning.regime rigl: from 1",
    ),
    (
      {"pruning__regime": "rigl", "pruning__criterion": "random"},
      "pruning.criterion is 'random', which has no effect with .*regime rigl",
    ),
    (
      {"pruning__regime": "rigl", "train__epochs": 5},
      r"pruning.end is 8, after the training \(train.epochs is 5\)",
    ),
    ({"pruning__regrow": 0.5}, "regrow is 0.5, .*, or pruning.regime rigl"),
    (
      {"pruning__regime": "rigl", "pruning__regrow": 1.5},
      r"pruning.regrow is 1.5; accepted: \[0, 1\]",
    ),
    (
      {"pruning__regime": "one-shot", "pruning__unit": "steps"},
      "unit is .steps., .*pruning.regime gmp-ri or gmp-pt or rewind or rigl",
    ),
    (
      {"pruning__regime": "rewind", "pruning__rewind": 10},
      r"pruning.rewind is 10; accepted: less than train.epochs \(10\)",
    ),
    *[
      (
        {
          "pruning__regime": regime,
          "pruning__shared_dense_parent": True,
          "sparsities": (0.0, 0.5),
        },
        "shared_dense_parent is True, .*pruning.regime gmp-pt or one-shot",
      )
      for regime in ("gmp-ri", "from-scratch", "rewind", "rigl")
    ],
    (
      {"train__optimizer": "adam", "train__nesterov": True},
      "train.nesterov needs train.optimizer sgd",
    ),
    (
      {"train__optimizer": "adam", "train__reset_momentum": True},
      "train.reset_momentum needs train.optimizer sgd",
    ),
    ({"train__schedule": "steps"}, r"train.drops is \(\) with .*'steps'"),
    ({"train__drops": (3,)}, r"train.drops is \(3.0,\) with .*'cosine'"),
    *[
      (
        {"train__schedule": "steps", "train__drops": drops},
        r"accepted: rising, after train.warmup \(1\) and before .* \(10\)",
      )
      for drops in ((4, 3), (3, 3), (1,), (10,))
    ],
    ({"train__label_smoothing": 1.0}, r"label_smoothing is 1.0; .* \[0, 1\)"),
    ({"loss__kind": "focal"}, "loss.kind is 'focal'; accepted: plain, class_"),
    (
      {"loss__kind": "group_reweighted"},
      "loss.identities is empty; accepted with loss.kind group_reweighted: one",
    ),
    (
      {"loss__kind": "group_reweighted", "loss__identities": ("A", "A")},
      r"loss.identities is \('A', 'A'\); accepted: distinct names",
    ),
    (
      {"loss__kind": "class_reweighted", "loss__identities": ("Male",)},
      "identities is .* no effect with loss.kind class_reweighted; .* group_re",
    ),
    (
      {"loss__q": 0.5},
      "q is 0.5, .* with loss.kind plain; .* learning_from_failure",
    ),
    ({"loss__kind": LEARNS, "loss__q": 0.0}, r"q is 0.0; accepted: \[0.01, 1"),
    ({"loss__kind": LEARNS, "loss__ema": 1.0}, r"ema is 1.0; .* \[0, 1\)"),
    *[
      (
        {"loss__kind": LEARNS, "pruning__regime": regime},
        f"with pruning.regime '{regime}'; accepted: .* gmp-ri or from-scratch",
      )
      for regime in ("gmp-pt", "one-shot", "rewind")
    ],
    *[
      ({"loss__kind": "class_reweighted", **changes}, "with them: plain")
      for changes in (
        {"pruning__regime": "rigl"},
        {"pruning__criterion": "saliency"},
      )
    ],
  ],
)
def test_bad_values_are_refused_in_one_line(changes, message):
  with pytest.raises(InputError, match=message) as caught:
    change(**changes)
  assert "\n" not in str(caught.value)


def test_a_dense_sweep_needs_no_room_for_pruning():
  assert change(sparsities=(0,), train__epochs=3).train.epochs == 3


def test_integers_serve_as_floats_and_lists_as_tuples():
  sweep = change(sparsities=[0, 0.5], train__learning_rate=1)
  assert sweep.sparsities == (0.0, 0.5)
  assert isinstance(sweep.train.learning_rate, float)


def test_a_config_survives_json():
  sweep = change(seeds=(4, 9), train__epochs=30, data__faces__difficulty=0.7)
  assert Sweep.from_dict(json.loads(json.dumps(sweep.to_dict()))) == sweep


def test_every_setting_has_help_and_a_distinct_path():
  leaves = list(Sweep().leaves())
  assert all(leaf.help for leaf in leaves)
  assert len({leaf.path for leaf in leaves}) == len(leaves) > 30


def test_a_nested_part_of_another_kind_is_refused():
  with pytest.raises(InputError, match=r"sweep\.train"):
    Sweep(train=Pruning())
  with pytest.raises(InputError, match="train is 3, not an object"):
    Sweep.from_dict({"train": 3})


@pytest.mark.parametrize(
  ("text", "kind", "value"),
  [
    ("3", int, 3),
    (".8", float, 0.8),
    ("true", bool, True),
    ("False", bool, False),
    ("0,.8,.95", tuple[float, ...], (0.0, 0.8, 0.95)),
    ("", tuple[str, ...], ()),
    ("Bold,Slanted", tuple[str, ...], ("Bold", "Slanted")),
    ("none", float | None, None),
    ("2", float | None, 2.0),
  ],
)
def test_parse(text, kind, value):
  assert parse(text, kind) == value


@pytest.mark.parametrize(
  ("text", "kind"), [("3.5", int), ("yes", bool), ("1,x", tuple[int, ...])]
)
def test_parse_refuses(text, kind):
  with pytest.raises(ValueError, match=r".*"):
    parse(text, kind)


def test_a_python_config(tmp_path):
  path = tmp_path / "mine.py"
  path.write_text(
    "from prunebias_jax.config import Sweep\n"
    "def sweep():\n  return Sweep(name='mine')\n"
  )
  assert load_config(path) == Sweep(name="mine")


@pytest.mark.parametrize(
  ("name", "text", "message"),
  [
    ("a.py", "def sweep(:", "is broken: SyntaxError"),
    ("a.py", "import nothing_of_this_name", "is broken: ModuleNotFoundError"),
    ("a.py", "x = 1", r"defines no function sweep\(\) -> Sweep"),
    ("a.py", "def sweep(): return 3", "gives int, not Sweep"),
    ("a.json", "{", "is not JSON"),
    ("a.json", "{}", "has no field 'sweep'"),
    ("a.json", '{"sweep": {"sead": 1}}', "'sead'; did you mean"),
    ("a.yaml", "x: 1", "neither Python"),
  ],
)
def test_broken_config_files_are_one_line(tmp_path, name, text, message):
  path = tmp_path / name
  path.write_text(text)
  with pytest.raises(InputError, match=message) as caught:
    load_config(path)
  assert "\n" not in str(caught.value)


def test_a_missing_config_file(tmp_path):
  with pytest.raises(InputError, match="not found"):
    load_config(tmp_path / "none.py")


def test_errors_inside_sweep_keep_their_meaning(tmp_path):
  path = tmp_path / "mine.py"
  path.write_text(
    "from prunebias_jax.config import Train\n"
    "def sweep():\n  return Train(epochs=0)\n"
  )
  with pytest.raises(InputError, match=r"epochs is 0; accepted: \[1, inf"):
    load_config(path)


def test_train_checks_alone():
  assert Train(warmup=0.0).warmup == 0
