"""Which rule a metric follows: this project's, or the paper's."""

from typing import Literal

Parity = Literal["default", "paper"]
PARITIES = ("default", "paper")
