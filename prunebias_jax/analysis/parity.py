"""Which rule a metric follows: this project's, or the paper's to the letter."""

from typing import Literal

Parity = Literal["default", "paper"]
PARITIES = ("default", "paper")
