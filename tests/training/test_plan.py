"""Plans: which levels are one for how long, and what each segment does."""

import numpy as np
import pytest

from prunebias_jax.config import Pruning, Sweep, Train
from prunebias_jax.errors import InputError
from prunebias_jax.pruning.allocation import count_table
from prunebias_jax.training.batches import dispatches
from prunebias_jax.training.plan import (
  changes,
  make_plan,
  parents,
  require_fit,
)

LAYERS = {"first/kernel": (20, 30), "second/kernel": (400,)}
EXAMPLES = 640  # ten steps an epoch


def sweep_of(regime, sparsities, **pruning):
  return Sweep(
    sparsities=sparsities,
    train=Train(epochs=6),
    finetune=Train(epochs=5),
    pruning=Pruning(
      regime=regime, **{"start": 2, "every": 1, "end": 5, **pruning}
    ),
  )


def plan_of(regime, sparsities, *, share=True, **pruning):
  sweep = sweep_of(regime, sparsities, **pruning)
  return make_plan(sweep, LAYERS, EXAMPLES, share=share)


def epochs_of(segment):
  """Whole epochs of a segment, counted over all phases."""
  before, each = segment.phase.first_epoch, segment.steps_per_epoch
  assert segment.steps.start % each == segment.steps.stop % each == 0
  return [before + step // each for step in segment.steps[::each]]


def outline(plan):
  return [
    (segment.phase.name, epochs_of(segment), segment.branches)
    for segment in plan
  ]


def test_gmp_ri_parts_dense_first_and_then_the_others():
  plan = plan_of("gmp-ri", (0.0, 0.5, 0.9))
  whole, split, apart = ((0, 1, 2),), ((0,), (1, 2)), ((0,), (1,), (2,))
  assert outline(plan) == [
    ("train", [0, 1], whole),
    ("train", [2], split),
    ("train", [3], apart),
    ("train", [4, 5], apart),
  ]
  assert [segment.prunes for segment in plan] == [False, True, True, True]
  assert plan[1].counts == ((0,), (50,))
  assert plan[-1].counts == ((0,), (500,), (900,))
  assert [segment.finished for segment in plan] == [(), (), (), (0, 1, 2)]


def test_gmp_pt_ends_the_dense_level_with_the_dense_phase():
  plan = plan_of("gmp-pt", (0.0, 0.5, 0.9))
  assert outline(plan) == [
    ("train", [0, 1, 2, 3, 4, 5], ((0, 1, 2),)),
    ("finetune", [6, 7], ((1, 2),)),
    ("finetune", [8], ((1, 2),)),
    ("finetune", [9], ((1,), (2,))),
    ("finetune", [10], ((1,), (2,))),
  ]
  assert plan[0].finished == (0,)
  assert plan[-1].finished == (1, 2)


def test_one_shot_prunes_once_at_the_beginning_of_the_fine_tuning():
  plan = plan_of("one-shot", (0.9, 0.0, 0.5))
  assert outline(plan) == [
    ("train", [0, 1, 2, 3, 4, 5], ((0, 1, 2),)),
    ("finetune", [6, 7, 8, 9, 10], ((0,), (2,))),
  ]
  assert plan[1].prunes
  assert plan[1].counts == ((900,), (500,))


@pytest.mark.parametrize("regime", ["gmp-ri", "gmp-pt", "one-shot"])
def test_dense_alone_is_one_segment(regime):
  plan = plan_of(regime, (0.0,))
  assert outline(plan) == [("train", [0, 1, 2, 3, 4, 5], ((0,),))]
  assert not plan[0].prunes


@pytest.mark.parametrize("regime", ["gmp-ri", "gmp-pt", "one-shot"])
@pytest.mark.parametrize("start", [0, 2])
def test_without_sharing_every_level_is_trained_alike(regime, start):
  sparsities = (0.0, 0.3, 0.9)
  shared = plan_of(regime, sparsities, start=start)
  apart = plan_of(regime, sparsities, start=start, share=False)
  for one, other in zip(shared, apart, strict=True):
    assert one.steps == other.steps
    assert all(len(branch) == 1 for branch in other.branches)
    counts = {
      level: count
      for branch, count in zip(one.branches, one.counts, strict=True)
      for level in branch
    }
    assert counts == {
      branch[0]: count
      for branch, count in zip(other.branches, other.counts, strict=True)
    }


def test_every_level_ends_once_and_has_all_its_epochs():
  plan = plan_of("gmp-pt", (0.9, 0.0, 0.5, 0.7))
  finished = [level for segment in plan for level in segment.finished]
  assert sorted(finished) == [0, 1, 2, 3]
  epochs = [epoch for segment in plan for epoch in epochs_of(segment)]
  assert epochs == list(range(11))


def test_parents_are_the_branches_that_held_the_levels():
  assert parents(((0, 1, 2),), ((0,), (1, 2))) == [0, 0]
  assert parents(((0,), (1, 2)), ((1,), (2,))) == [1, 1]


def test_a_plan_tells_the_counts_of_layers_and_their_total():
  sweep = sweep_of("one-shot", (0.0, 0.5, 0.9), allocation="erk")
  plan = make_plan(sweep, LAYERS, EXAMPLES)
  assert plan[0].counts == ((0, 0),)
  table = count_table(sweep.pruning, (0.5, 0.9), LAYERS)
  assert np.array_equal(plan[-1].counts, table[-1])
  assert [sum(counts) for counts in plan[-1].counts] == [500, 900]


@pytest.mark.parametrize(
  ("sparsities", "counts", "branches"),
  [
    ((0.2, 0.25), ((0, 1),), ((0, 1),)),
    ((0.2, 0.3), ((0, 1), (1, 1)), ((0,), (1,))),
  ],
)
def test_levels_part_where_some_layer_differs(sparsities, counts, branches):
  layers = {"first/kernel": (2,), "second/kernel": (3,)}
  sweep = sweep_of("one-shot", sparsities, allocation="uniform")
  last = make_plan(sweep, layers, EXAMPLES)[-1]
  assert (last.counts, last.branches) == (counts, branches)


def in_steps(regime, sparsities, **pruning):
  sweep = sweep_of(regime, sparsities, **{"unit": "steps", **pruning})
  return make_plan(sweep, LAYERS, EXAMPLES)


def steps_of(plan):
  return [(one.steps.start, one.steps.stop, one.prunes) for one in plan]


def test_updates_in_steps_may_come_inside_an_epoch():
  plan = in_steps("gmp-ri", (0.0, 0.9), start=5, every=10, end=36)
  assert steps_of(plan) == [
    (0, 5, False),
    (5, 15, True),
    (15, 25, True),
    (25, 35, True),
    (35, 60, True),
  ]
  # The cubic is that of time, whatever its unit; the last update reaches it.
  shares = [0.9 - 0.85 * (1 - done / 31) ** 3 for done in (0, 10, 20)]
  zeros = [segment.counts[1][0] for segment in plan[1:]]
  assert zeros == [*(round(1000 * share) for share in shares), 900]
  assert [segment.settled for segment in plan] == [True] * 5


def test_the_published_steps_of_the_exemplars_paper():
  """From 5000 every 500 to 8000 of 32,000; here the end is exclusive."""
  sweep = Sweep(
    sparsities=(0.9,),
    train=Train(epochs=100, batch=100),
    pruning=Pruning(unit="steps", start=5000, every=500, end=8001, initial=0.0),
  )
  plan = make_plan(sweep, LAYERS, 32_000)
  updates = [segment.steps.start for segment in plan if segment.prunes]
  assert updates == [5000, 5500, 6000, 6500, 7000, 7500, 8000]
  assert plan[-1].steps == range(8000, 32_000)
  assert plan[-1].counts == ((900,),)


def test_whole_epochs_are_the_same_in_either_unit():
  for regime in ("gmp-ri", "gmp-pt"):
    in_epochs = plan_of(regime, (0.0, 0.5, 0.9))
    assert (
      in_steps(regime, (0.0, 0.5, 0.9), start=20, every=10, end=50) == in_epochs
    )


def test_calls_end_where_epochs_and_segments_end():
  plan = in_steps("gmp-pt", (0.0, 0.9), start=5, every=13, end=19)
  second = plan[2]
  assert second.steps == range(5, 18)
  # Epochs are counted over all phases: six of train come before.
  assert list(dispatches(second, 0, 4)) == [
    (6, 5, 4),
    (6, 9, 1),
    (7, 0, 4),
    (7, 4, 4),
  ]
  assert list(dispatches(second, 7, 4)) == [(7, 2, 4), (7, 6, 2)]
  assert list(dispatches(second, 13, 4)) == []


def test_from_scratch_prunes_once_before_the_first_step():
  sweep = Sweep(
    sparsities=(0.0, 0.5, 0.9),
    train=Train(epochs=9),
    pruning=Pruning(regime="from-scratch"),
  )
  (only,) = make_plan(sweep, LAYERS, EXAMPLES)
  assert only.steps == range(90)
  assert only.prunes
  assert only.branches == ((0,), (1,), (2,))
  assert only.counts == ((0,), (500,), (900,))
  assert only.finished == (0, 1, 2)


@pytest.mark.parametrize(
  ("unit", "rewind", "back"), [("epochs", 2, 20), ("steps", 13, 13)]
)
def test_rewinding_trains_from_an_earlier_step_again(unit, rewind, back):
  sweep = Sweep(
    sparsities=(0.0, 0.5, 0.9),
    train=Train(epochs=6),
    pruning=Pruning(regime="rewind", unit=unit, rewind=rewind),
  )
  plan = make_plan(sweep, LAYERS, EXAMPLES)
  assert steps_of(plan) == [
    (0, back, False),
    (back, 60, False),
    (back, 60, True),
  ]
  assert [one.phase.name for one in plan] == ["train", "train", "retrain"]
  assert [one.early for one in plan] == [False, True, False]
  assert [one.branches for one in plan] == [
    ((0, 1, 2),),
    ((0, 1, 2),),
    ((1,), (2,)),
  ]
  assert [one.finished for one in plan] == [(), (0,), (1, 2)]
  again = plan[-1].phase
  # The same orders and learning rates; the log goes on counting.
  assert (again.config, again.first_epoch) == (sweep.train, 0)
  assert again.logged_before == 6 - back // 10
  first = next(dispatches(plan[-1], 0, 4))
  assert (first.epoch, first.first) == (back // 10, back % 10)


def test_rewinding_to_the_beginning_keeps_the_initial_weights():
  sweep = Sweep(sparsities=(0.9,), pruning=Pruning(regime="rewind", rewind=0))
  plan = make_plan(sweep, LAYERS, EXAMPLES)
  assert steps_of(plan) == [(0, 100, False), (0, 100, True)]
  assert [one.early for one in plan] == [True, False]


@pytest.mark.parametrize(
  ("regime", "changes", "message"),
  [
    (
      "gmp-ri",
      {"end": 61},
      r"pruning.end is 61 steps; .* to 60 \(train has 60",
    ),
    (
      "gmp-pt",
      {"end": 51},
      r"end is 51 steps; .* to 50 \(finetune has 50 .* 5 ",
    ),
    (
      "rewind",
      {"rewind": 60},
      r"rewind is 60 steps; accepted: up to 59 \(train",
    ),
  ],
)
def test_steps_beyond_the_training_are_refused(regime, changes, message):
  sweep = Sweep(
    train=Train(epochs=6),
    finetune=Train(epochs=5),
    pruning=Pruning(regime=regime, unit="steps", **changes),
  )
  with pytest.raises(InputError, match=message) as caught:
    require_fit(sweep, EXAMPLES)
  assert "\n" not in str(caught.value)
  require_fit(sweep.override({"sparsities": [0.0]}), EXAMPLES)
  require_fit(sweep, 2 * EXAMPLES)


@pytest.mark.parametrize("regime", ["gmp-ri", "gmp-pt", "one-shot"])
def test_the_best_is_sought_where_some_level_is_at_its_final_sparsity(regime):
  settled = [one.settled for one in plan_of(regime, (0.5, 0.9))]
  dense_too = [one.settled for one in plan_of(regime, (0.0, 0.9))]
  assert settled == [False] * (len(settled) - 1) + [True]
  first = {"gmp-ri": len(dense_too)}.get(regime, 1)
  assert dense_too[:first] == [True] * first
  assert dense_too[-1]


def test_rigl_moves_masks_of_constant_counts():
  plan = plan_of("rigl", (0.0, 0.5, 0.9), initial=0.05, regrow=0.5)
  apart = ((0,), (1,), (2,))
  assert outline(plan) == [
    ("train", [0, 1], apart),
    ("train", [2], apart),
    ("train", [3], apart),
    ("train", [4, 5], apart),
  ]
  assert [one.prunes for one in plan] == [True, False, False, False]
  assert {one.counts for one in plan} == {((0,), (500,), (900,))}
  shares = [0.25 * (1 + np.cos(np.pi * epoch / 5)) for epoch in (2, 3, 4)]
  assert plan[0].moves is None
  assert [one.moves for one in plan[1:]] == [
    (
      (0, 0),
      (round(share * 300), round(share * 200)),
      (round(share * 60), round(share * 40)),
    )
    for share in shares
  ]
  # The dense level is at its final sparsity throughout; the others once the
  # masks have moved last.
  assert [one.settled for one in plan] == [True] * 4
  alone = plan_of("rigl", (0.9,), regrow=0.5)
  assert [one.settled for one in alone] == [False, False, False, True]
  assert changes(plan[0], plan[1]) == [False, True, True]
