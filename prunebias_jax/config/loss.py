"""Settings of what training minimises: plain, or a countermeasure to bias."""

import dataclasses

from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, setting

KINDS = (
  "plain",
  "class_reweighted",
  "group_reweighted",
  "learning_from_failure",
)

# Settings that only one kind reads.
_READ_BY = {
  "identities": "group_reweighted",
  "q": "learning_from_failure",
  "ema": "learning_from_failure",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(Part):
  """What all members of the run minimise, dense and pruned alike."""

  kind: str = setting(
    "plain",
    help="mean cross-entropy: plain, class_reweighted (each value of a label "
    "weighs alike), group_reweighted (each value of a label in each group "
    "does) or learning_from_failure (what a biased network beside each member "
    "fails at weighs more; Nam et al. 2020)",
    choices=lambda: KINDS,
  )
  identities: tuple[str, ...] = setting(
    (),
    help="group_reweighted: identity attributes whose values, crossed, are the "
    "groups",
  )
  q: float = setting(
    0.7,
    help="learning_from_failure: how much the biased network prefers what is "
    "easy: its loss is (1 - p^q) / q; near 0 cross-entropy, 1 is 1 - p",
    low=0.01,
    high=1,
  )
  ema: float = setting(
    0.7,
    help="learning_from_failure: share of its past in the moving average of "
    "each label's loss; 0 is the loss of the step",
    unit="share",
    low=0,
    below=1,
  )

  @property
  def learns_from_failure(self) -> bool:
    """Whether a biased network is trained beside each member."""
    return self.kind == "learning_from_failure"

  def check(self) -> None:
    """Refuses what has no effect, and groups that are not named."""
    for field in dataclasses.fields(self):
      kind, value = _READ_BY.get(field.name), getattr(self, field.name)
      if kind not in (None, self.kind) and value != field.default:
        raise InputError(
          f"loss.{field.name} is {value!r}, which has no effect with loss.kind "
          f"{self.kind}; accepted: {field.default!r} (the default), or "
          f"loss.kind {kind}"
        )
    if self.kind == "group_reweighted" and not self.identities:
      raise InputError(
        "loss.identities is empty; accepted with loss.kind group_reweighted: "
        "one or more identity attributes, such as Male"
      )
    if len(set(self.identities)) != len(self.identities):
      raise InputError(
        f"loss.identities is {self.identities}; accepted: distinct names"
      )
