"""Plans: which levels are one for how long, and what each segment does."""

import pytest

from prunebias_jax.config import Pruning, Sweep, Train
from prunebias_jax.training.plan import make_plan, parents

WEIGHTS = 1000


def plan_of(regime, sparsities, *, start=2, end=5, share=True):
  sweep = Sweep(
    sparsities=sparsities,
    train=Train(epochs=6),
    finetune=Train(epochs=5),
    pruning=Pruning(regime=regime, start=start, every=1, end=end),
  )
  return make_plan(sweep, WEIGHTS, share=share)


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
  assert plan[1].zeros == (0, 50)
  assert plan[-1].zeros == (0, 500, 900)
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
  assert plan[1].zeros == (900, 500)


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
    zeros = {
      level: count
      for branch, count in zip(one.branches, one.zeros, strict=True)
      for level in branch
    }
    assert zeros == {
      branch[0]: count
      for branch, count in zip(other.branches, other.zeros, strict=True)
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
