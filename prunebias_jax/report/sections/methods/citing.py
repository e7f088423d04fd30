"""How to cite the project, and the sources of what the page shows."""

from collections.abc import Iterator
import importlib.metadata

from prunebias_jax.report.page import Row, Table
from prunebias_jax.report.source import Source

_BIAS = (
  "Iofinova, Peste and Alistarh: Bias in Pruned Vision Models: In-Depth "
  "Analysis and Countermeasures. CVPR 2023, arXiv:2304.12622"
)
_EXEMPLARS = (
  "Hooker, Moorosi, Clark, Bengio and Denton: Characterising Bias in "
  "Compressed Models. 2020, arXiv:2010.03058"
)


def citing_table(source: Source) -> Table:
  """The project first, then the sources of the methods on this page."""
  return Table(
    slug="citing",
    title="How to cite",
    head=("For", "Source"),
    bands=(
      ("This software and this run", tuple(_project(source))),
      ("The questions and methods on this page", tuple(_methods(source))),
    ),
    texts=2,
    note=(
      "Methods without a source here are this project's own or textbook ones; "
      "docs/statistics.md names the source of every column."
    ),
  )


def _project(source: Source) -> Iterator[Row]:
  versions = source.analysis.arrays.attrs.get("versions", {})
  version = versions.get(
    "prunebias_jax", importlib.metadata.version("prunebias_jax")
  )
  yield (
    "the software",
    f"prunebias_jax, version {version} (Apache 2.0): populations of pruned "
    "vision models in JAX, and the statistics of their bias",
  )
  data = source.run.facts.get("data", {})
  told = (
    "the files' SHA-256 above" if source.run.imported else "the config above"
  )
  if isinstance(data, dict) and data.get("fingerprint"):
    told += f" and the data's fingerprint {data['fingerprint'][:16]}…"
  yield (
    "this run",
    f"give {told}, the number of seeds of each population, and the versions",
  )


def _methods(source: Source) -> Iterator[Row]:
  yield (
    "uncertainty, interdependence, TCB, bias amplification, calibrated "
    "thresholds, criteria",
    _BIAS,
  )
  yield "exemplars, error rates of groups", _EXEMPLARS
  if source.output == "class":
    yield (
      "classes that lose more than others",
      "Hooker, Courville, Clark, Dauphin and Frome: What Do Compressed Deep "
      "Neural Networks Forget? 2019, arXiv:1911.05248",
    )
  if source.pairs:
    yield (
      "differences between groups",
      "Hardt, Price and Srebro 2016 (equalized odds); Sagawa et al. 2020 "
      "(worst group); as in Fairlearn, Bird et al. 2020",
    )
    yield "relative changes of rates", "Fieller 1954 (interval of a ratio)"
  yield (
    "variance between runs, test-set noise",
    "Jordan 2023, arXiv:2304.01910",
  )
  yield (
    "tests and intervals",
    "Student's t; Welch 1947; Wilcoxon 1945; Pitman 1939 and Morgan 1939 "
    "(variances of pairs); Benjamini and Hochberg 1995; Holm 1979",
  )
  loss = source.run.facts.get("sweep", {}).get("loss", {})
  if isinstance(loss, dict) and loss.get("kind") == "learning_from_failure":
    yield "training", "Nam et al. 2020 (Learning from Failure)"
