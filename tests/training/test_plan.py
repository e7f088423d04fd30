"""Plans: which levels are one for how long, and what each segment does."""

import numpy as np
import pytest

from prunebias_jax.config import Pruning, Sweep, Train
from prunebias_jax.pruning.allocation import count_table
from prunebias_jax.training.plan import make_plan, parents

LAYERS = {"first/kernel": (20, 30), "second/kernel": (400,)}


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
  return make_plan(sweep, LAYERS, share=share)


def outline(plan):
  return [
    (segment.phase.name, list(segment.epochs), segment.branches)
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
    assert one.epochs == other.epochs
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
  epochs = [epoch for segment in plan for epoch in segment.epochs]
  assert epochs == list(range(11))


def test_parents_are_the_branches_that_held_the_levels():
  assert parents(((0, 1, 2),), ((0,), (1, 2))) == [0, 0]
  assert parents(((0,), (1, 2)), ((1,), (2,))) == [1, 1]


def test_a_plan_tells_the_counts_of_layers_and_their_total():
  sweep = sweep_of("one-shot", (0.0, 0.5, 0.9), allocation="erk")
  plan = make_plan(sweep, LAYERS)
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
  last = make_plan(sweep, layers)[-1]
  assert (last.counts, last.branches) == (counts, branches)
