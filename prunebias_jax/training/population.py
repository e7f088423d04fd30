"""Many models as one program: `member` lifted over seeds and sparsity levels.

The state of a population is a `Member` whose arrays have two axes in front,
[seed, level]. All levels of a seed share initialisation, batches and
augmentation; the batches are gathered and augmented once for each seed. Both
axes are spread over a mesh of devices, and no device ever waits for another:
the compiled step has no collective.

On one device members run one after the other (`map`), all at once (`vmap`), or
in groups, one group after the other (`chunk:8`).
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np

from prunebias_jax.data.augment import Augment
from prunebias_jax.data.markers import windowed
from prunebias_jax.pruning.criterion import CRITERIA
from prunebias_jax.training import mask_update
from prunebias_jax.training import member as one
from prunebias_jax.training.layout import (
  AXES,
  MEMBERS,
  SEEDS,
  SHARED,
  Layout,
  TrainData,
)
from prunebias_jax.training.lift import (
  Body,
  along,
  in_turn,
  on_mesh,
  own_share,
)
from prunebias_jax.training.member import (
  Best,
  Early,
  Member,
  Progress,
)
from prunebias_jax.training.randomness import (
  Purpose,
  augment_key,
  epoch_order,
)
from prunebias_jax.training.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Population(Layout):
  """The members of seeds x levels, and the compiled functions that act on them.

  Attributes:
    recipe: how one member is trained.
    augment: what is done to training images.
    image_shape: (height, width, channel) of what networks see.
    examples: number of training examples.
    batch: examples a step.
    dispatch: the most steps in one call of `train`.
    precision: of matrix products, as `jax.default_matmul_precision` has it.
    labels: of the training split [example, ...], where the loss looks at all of
      them in every step; None where it does not.
  """

  recipe: Recipe
  augment: Augment
  image_shape: tuple[int, int, int]
  examples: int
  batch: int
  dispatch: int
  precision: str = "highest"
  labels: np.ndarray | None = None

  @functools.cached_property
  def _labels_on_device(self) -> jax.Array | None:
    """All training labels, on every device."""
    return None if self.labels is None else self.place(self.labels, SHARED)

  @functools.cached_property
  def seeds_on_device(self) -> jax.Array:
    """uint32 [padded seed, purpose]; padding repeats the last seed."""
    padding = ((0, self.padded[0] - len(self.seeds)), (0, 0))
    return self.place(np.pad(self.seeds, padding, mode="edge"), SEEDS)

  @functools.cached_property
  def _sizes(self) -> jax.Array:
    """int32 [2]: seeds and levels.

    They are an argument of the compiled programs, not constants in them: XLA
    would unroll a loop of one turn, which is another program with other
    rounding.
    """
    return self.place(
      np.array([len(self.seeds), self.levels], np.int32), SHARED
    )

  @property
  def prepared(self) -> int:
    """Batches prepared for a dispatch, never one: see `_sizes`."""
    return max(self.dispatch, 2)

  def init(self) -> Member:
    """Fresh members [seed, level]; the levels of a seed are equal."""
    return self._init_program(self.seeds_on_device, self._sizes)

  def order(self, epoch: int) -> jax.Array:
    """Every seed's order of the examples in an epoch: int32 [seed, place]."""
    return self._order_program(
      self.seeds_on_device, self._sizes, self.scalar(epoch)
    )

  def train(
    self,
    state: Member,
    data: TrainData,
    order: jax.Array | None,
    *,
    epoch_step: int,
    step: int,
    count: int,
  ) -> tuple[Member, Progress]:
    """Trains every member for up to `dispatch` steps; `state` is used up.

    Args:
      state: [seed, level, ...].
      data: the training split, or the batches of these steps.
      order: what `order` gave for this epoch; None where the batches are ready.
      epoch_step: steps of this epoch done before.
      step: steps done before in all.
      count: steps to do.

    Returns:
      The state after, and sums of loss and accuracy [seed, level].
    """
    return self.train_program(
      *self.train_arguments(
        state, data, order, epoch_step=epoch_step, step=step, count=count
      )
    )

  def train_arguments(
    self,
    state: Member,
    data: TrainData,
    order: jax.Array | None,
    *,
    epoch_step: int,
    step: int,
    count: int,
  ) -> tuple[Any, ...]:
    """What `train` hands the compiled program."""
    numbers = map(self.scalar, (epoch_step, step, count))
    shared = self._labels_on_device, self._sizes
    return state, data, order, self.seeds_on_device, *shared, *numbers

  def prune(
    self, state: Member, counts: np.ndarray, batch: TrainData | None = None
  ) -> Member:
    """Updates masks; `state` is used up.

    Args:
      state: [seed, level, ...].
      counts: pruned units, int32 [level, pool].
      batch: on the devices, what the criterion takes a gradient on; None where
        it takes none.
    """
    draws = CRITERIA[self.recipe.pruning.scored_by].draws
    seeds = self.seeds_on_device if draws else None
    placed = self._for_every_seed(counts)
    return self._prune_program(state, placed, self._sizes, seeds, batch)

  def regrow(
    self, state: Member, moves: np.ndarray, batch: TrainData
  ) -> Member:
    """Moves masks: moves int32 [level, layer]; `state` is used up."""
    placed = self._for_every_seed(moves)
    return self._regrow_program(state, placed, self._sizes, batch)

  def _for_every_seed(self, numbers: np.ndarray) -> jax.Array:
    """Numbers int32 [level, ...] as [seed, level, ...] on the devices."""
    padding = ((0, self.padded[1] - self.levels), (0, 0))
    grid = np.pad(numbers.astype(np.int32), padding, mode="edge")
    grid = np.broadcast_to(grid, (self.padded[0], *grid.shape))
    return self.place(grid, MEMBERS)

  def zeros(self, state: Member) -> np.ndarray:
    """Number of pruned weights of every member: int32 [seed, level]."""
    return self.grid(self._zeros_program(state))

  def restart(self, state: Member) -> Member:
    """The members with this population's optimiser, fresh."""
    restart = jax.vmap(jax.vmap(lambda m: one.restart(self.recipe, m)))
    return self.place(jax.jit(restart)(state), MEMBERS)

  def early(self, state: Member) -> Early:
    """What the members are now, to go back to: copies."""
    kept = Early(state.params, state.batch_stats)
    # A copy of its own: training uses up the memory of the state.
    return self.place(jax.tree.map(jnp.copy, kept), MEMBERS)

  def rewind(self, state: Member, early: Early) -> Member:
    """The members with their masks, and what they were early otherwise."""
    rewind = jax.vmap(jax.vmap(one.rewind))
    return self.place(jax.jit(rewind)(state, early), MEMBERS)

  def no_best(self, state: Member) -> Best:
    """Nothing better yet, for every member [seed, level]."""
    return self._no_best_program(state)

  def forget_best(self, best: Best, forgotten: np.ndarray) -> Best:
    """Forgets the best of some levels: bool [level]."""
    loss = np.where(forgotten, np.inf, self.grid(best.loss))
    return best._replace(loss=self.adopt(loss.astype(np.float32)))

  def keep_better(self, best: Best, state: Member, loss: np.ndarray) -> Best:
    """The better of the best so far and the state now, for every member.

    Args:
      best: what is kept so far; used up.
      state: [seed, level, ...].
      loss: validation losses [seed, level].
    """
    placed = self.adopt(loss.astype(np.float32))
    return self._keep_better_program(best, state, placed)

  def shapes(self) -> Member:
    """Shapes and types of the members [padded seed, padded level, ...]."""
    return jax.eval_shape(self._init_program, self.seeds_on_device, self._sizes)

  def add(self, sums: Progress, progress: Progress) -> Progress:
    """Adds up progress [seed, level] on the devices."""
    return jax.tree.map(jnp.add, sums, progress)

  def predict(
    self, state: Member, images: jax.Array, count: int | None = None
  ) -> jax.Array:
    """Logits of all members: float32 [seed, level, example, output].

    Args:
      state: [seed, level, ...].
      images: uint8 [step, batch, y, x, channel].
      count: how many of the steps are done, None for all; the logits of the
        others are zeros.
    """
    steps = self.scalar(len(images) if count is None else count)
    return self._predict_program(state, images, steps, self._sizes)

  def middle(self, images: jax.Array, marked: jax.Array | None) -> jax.Array:
    """Stored images as networks see them, but for what is drawn at random.

    Args:
      images: uint8 [step, batch, y, x, channel].
      marked: [step, batch], not 0 where an image is marked; None for no marks.
    """
    return self._middle_program(images, marked)

  @functools.cached_property
  def _init_program(self) -> Any:
    def local(seeds: jax.Array, sizes: jax.Array) -> Member:
      def body(seed: jax.Array, _: None) -> tuple[jax.Array, Member]:
        init_seed = seed[Purpose.INIT]
        return seed, one.init(self.recipe, init_seed, self.image_shape)

      count = own_share(sizes[0], "seed", len(seeds))
      members = in_turn(body, seeds, None, count)[1]
      levels = self.padded[1] // self.mesh.shape["level"]
      return jax.tree.map(
        lambda x: jnp.repeat(x[:, None], levels, axis=1), members
      )

    return self._compile(local, (SEEDS, SHARED), MEMBERS)

  @functools.cached_property
  def _order_program(self) -> Any:
    def local(
      seeds: jax.Array, sizes: jax.Array, epoch: jax.Array
    ) -> jax.Array:
      def body(seed: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        order = epoch_order(seed[Purpose.ORDER], epoch, self.examples)
        # The last dispatch of an epoch reads whole, whatever of it is used.
        return seed, jnp.pad(order, (0, self.prepared * self.batch))

      count = own_share(sizes[0], "seed", len(seeds))
      return in_turn(body, seeds, None, count)[1]

    return self._compile(local, (SEEDS, SHARED, SHARED), SEEDS)

  @functools.cached_property
  def train_program(self) -> Any:
    """The program behind `train`; takes `train_arguments`."""

    def local(
      state: Member,
      data: TrainData,
      order: jax.Array | None,
      seeds: jax.Array,
      labels: jax.Array | None,
      sizes: jax.Array,
      epoch_step: jax.Array,
      step: jax.Array,
      count: jax.Array,
    ) -> tuple[Member, Progress]:
      def per_seed(
        levels: Member, inputs: tuple[Any, jax.Array]
      ) -> tuple[Member, Progress]:
        own, seed = inputs
        if order is not None:
          own = self._gathered(data, own, epoch_step)
        batches = self._augmented(own, seed, step)

        def per_level(member: Member, _: None) -> tuple[Member, Progress]:
          return one.train_steps(
            self.recipe, member, batches, step, count, labels
          )

        return self._over("level", per_level, levels, None, sizes)

      own = data if order is None else order
      return self._over("seed", per_seed, state, (own, seeds), sizes)

    def program(
      state: Member, data: TrainData, order: jax.Array | None, *rest: Any
    ) -> tuple[Member, Progress]:
      where = SEEDS if order is None else SHARED
      specs = (MEMBERS, where, SEEDS, SEEDS, *[SHARED] * 5)
      lifted = on_mesh(local, self.mesh, specs, MEMBERS, self.precision)
      return lifted(state, data, order, *rest)

    return jax.jit(program, donate_argnums=(0,))

  def _gathered(
    self, data: TrainData, order: jax.Array, epoch_step: jax.Array
  ) -> TrainData:
    """A seed's next batches, out of the training split."""
    index = lax.dynamic_slice_in_dim(
      order, epoch_step * self.batch, self.prepared * self.batch
    ).reshape(self.prepared, self.batch)
    return jax.tree.map(lambda array: array[index], data)

  def _augmented(
    self, batches: TrainData, seed: jax.Array, step: jax.Array
  ) -> TrainData:
    """A seed's batches as its members see them: [step, batch, ...]."""
    steps = step + jnp.arange(self.prepared)
    keys = jax.vmap(augment_key, (None, 0))(seed[Purpose.AUGMENT], steps)
    images = jax.vmap(self.augment)(keys, batches.images, batches.marked)
    return batches._replace(images=images, marked=None)

  @functools.cached_property
  def _prune_program(self) -> Any:
    def local(
      state: Member,
      counts: jax.Array,
      sizes: jax.Array,
      seeds: jax.Array | None,
      batch: TrainData | None,
    ) -> Member:
      def per_seed(
        levels: Member, inputs: tuple[jax.Array, jax.Array | None]
      ) -> tuple[Member, tuple[()]]:
        counts, own = inputs
        seed = None if own is None else own[Purpose.INIT]

        def per_level(
          member: Member, count: jax.Array
        ) -> tuple[Member, tuple[()]]:
          return mask_update.prune(self.recipe, member, count, seed, batch), ()

        return self._over("level", per_level, levels, counts, sizes)

      return self._over("seed", per_seed, state, (counts, seeds), sizes)[0]

    specs = (MEMBERS, MEMBERS, SHARED, SEEDS, SHARED)
    return self._compile(local, specs, MEMBERS, donate=True)

  @functools.cached_property
  def _regrow_program(self) -> Any:
    def local(
      state: Member, moves: jax.Array, sizes: jax.Array, batch: TrainData
    ) -> Member:
      def per_level(member: Member, own: jax.Array) -> tuple[Member, tuple[()]]:
        return mask_update.regrow(self.recipe, member, own, batch), ()

      def per_seed(levels: Member, own: jax.Array) -> tuple[Member, tuple[()]]:
        return self._over("level", per_level, levels, own, sizes)

      return self._over("seed", per_seed, state, moves, sizes)[0]

    specs = (MEMBERS, MEMBERS, SHARED, SHARED)
    return self._compile(local, specs, MEMBERS, donate=True)

  @functools.cached_property
  def _zeros_program(self) -> Any:
    lifted = jax.vmap(jax.vmap(mask_update.zeros))
    return self._compile(lifted, (MEMBERS,), MEMBERS)

  @functools.cached_property
  def _no_best_program(self) -> Any:
    lifted = jax.vmap(jax.vmap(one.no_best))
    return self._compile(lifted, (MEMBERS,), MEMBERS)

  @functools.cached_property
  def _keep_better_program(self) -> Any:
    lifted = jax.vmap(jax.vmap(one.keep_better))
    return self._compile(lifted, (MEMBERS,) * 3, MEMBERS, donate=True)

  @functools.cached_property
  def _predict_program(self) -> Any:
    def local(
      state: Member, images: jax.Array, count: jax.Array, sizes: jax.Array
    ) -> jax.Array:
      def per_level(member: Member, _: None) -> tuple[Member, jax.Array]:
        def body(batch: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
          return batch, one.predict(self.recipe, member, batch)

        logits = in_turn(body, images, None, count)[1]
        return member, logits.reshape(-1, logits.shape[-1])

      def per_seed(levels: Member, _: None) -> tuple[Member, jax.Array]:
        return self._over("level", per_level, levels, None, sizes)

      return self._over("seed", per_seed, state, None, sizes)[1]

    return self._compile(local, (MEMBERS, *[SHARED] * 3), MEMBERS)

  @functools.cached_property
  def _middle_program(self) -> Any:
    augment = self.augment
    assert augment.window is not None
    middle = augment.window.middle

    def local(images: jax.Array, marked: jax.Array | None) -> jax.Array:
      return windowed(augment.marker, images, marked, middle)

    return self._compile(local, (SHARED, SHARED), SHARED)

  def _over(
    self, axis: str, body: Body, state: Any, inputs: Any, sizes: jax.Array
  ) -> tuple[Any, Any]:
    """Runs the body over this device's part of an axis, "seed" or "level"."""
    place = AXES.index(axis)
    local = len(jax.tree.leaves(state)[0])
    share = own_share(sizes[place], axis, local)
    return along(body, state, inputs, share, self.groups[place])

  def _compile(
    self,
    local: Callable,
    specs: tuple[PartitionSpec, ...],
    out: PartitionSpec,
    donate: bool = False,
  ) -> Any:
    """A function of one device's part, as a program for the whole mesh."""
    lifted = on_mesh(local, self.mesh, specs, out, self.precision)
    return jax.jit(lifted, donate_argnums=(0,) if donate else ())
