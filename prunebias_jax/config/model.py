"""Settings of the network."""

import dataclasses

from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, setting

NETWORKS = ("cnn", "resnet18", "resnet50", "mobilenet_v1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model(Part):
  """Which network."""

  name: str = setting(
    "cnn",
    help="network: cnn (three convolutions), resnet18, resnet50, mobilenet_v1, "
    "or a linen module of your own as package.module:attribute",
  )
  width: float = setting(
    1.0,
    help="multiplies all channels of a built-in network: cnn 16 to 64, "
    "resnet18 64 to 512, resnet50 64 to 2048, mobilenet_v1 32 to 1024",
    low=0.01,
  )
  stem: str = setting(
    "small",
    help="first layers of resnet18, resnet50 and mobilenet_v1: small keeps the "
    "image's size (for 32 to 64 px), large halves it once (mobilenet_v1) or "
    "twice (for 224 px)",
    choices=lambda: ("small", "large"),
  )

  def check(self) -> None:
    """Refuses an unknown network, and settings that one's own cannot have."""
    module, colon, attribute = self.name.partition(":")
    parts = [*module.split("."), attribute]
    if colon and all(part.isidentifier() for part in parts):
      if self.width != 1 or self.stem != "small":
        raise InputError(
          f"model.width is {self.width:g} and model.stem {self.stem!r}, but "
          f"{self.name} is not built in; accepted: 1 and 'small'"
        )
    elif self.name not in NETWORKS:
      raise InputError(
        f"model.name is {self.name!r}; accepted: {', '.join(NETWORKS)}, or "
        "package.module:attribute"
      )
