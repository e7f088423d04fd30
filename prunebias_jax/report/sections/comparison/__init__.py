"""One run against another: what differs between them, and by how much."""

from prunebias_jax.report.sections.comparison.chapter import section
from prunebias_jax.report.sections.comparison.runs import Comparison, compare

__all__ = ["Comparison", "compare", "section"]
