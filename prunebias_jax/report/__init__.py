"""The report of a run: one self-contained page of figures and tables."""

from prunebias_jax.report.write import write_report

__all__ = ["write_report"]
