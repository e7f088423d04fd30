"""How each number of the page was made, in short, by the options chosen."""

from collections.abc import Iterator

from prunebias_jax.analysis.inference import fewest_pairs
from prunebias_jax.report.page import Row, Table
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import percent


def making_table(source: Source) -> Table:
  """What is computed, and how: a row for each step."""
  paper = source.analysis.arrays.attrs.get("parity") == "paper"
  return Table(
    slug="making",
    title="How the numbers were made",
    head=("What", "How"),
    bands=(
      ("From logits to metrics", tuple(_metrics(source, paper))),
      ("Over seeds", tuple(_seeds(source))),
      ("Exemplars and criteria", tuple(_examples(source, paper))),
    ),
    texts=2,
    note=(
      "Formulas, sources and simulations of how good each interval is are in "
      "docs/statistics.md of the project; the column “reason” of a table says "
      "why a number is missing."
    ),
  )


def _metrics(source: Source, paper: bool) -> Iterator[Row]:
  attributes = source.output == "attribute"
  yield (
    "Rules",
    "--parity paper: the published forms where this project's own differ"
    if paper
    else "--parity default: this project's forms where the published ones are "
    "odd; docs/statistics.md lists these places",
  )
  yield (
    "Predictions",
    "an attribute is predicted where its logit is above 0 (probability 0.5)"
    if attributes
    else "the class of the largest logit",
  )
  yield (
    "Calibrated thresholds",
    _calibration(source, paper, attributes),
  )
  yield (
    "Splits",
    "metrics are of the test split; base rates (which value is rarer, which "
    "group has more positives) are of the train split",
  )
  yield (
    "Calibration error",
    "ten bins of equal width, mean absolute gap weighted by the bins' sizes"
    + (
      "; probability 1 makes an eleventh bin"
      if paper
      else "; probability 1 is in the last bin"
    ),
  )
  if attributes:
    yield (
      "Interdependence",
      "R² of a linear fit, with intercept, of one attribute's predictions on "
      "those of all others; a constant prediction "
      + ("counts 1" if paper else "has none"),
    )
  yield (
    "TCB",
    "predicted over true rate of the value that is rarer in training"
    + ("" if paper else "; not available where no test example has that value"),
  )
  if source.pairs:
    yield (
      "Bias amplification",
      "share that the group with the higher train rate has of the predicted "
      "positives, minus its share of the true ones; "
      + (
        "left out with fewer than 10 test positives in a group, or train rates "
        "less than a tenth apart"
        if paper
        else "an asterisk marks what rests on fewer than 10 positives"
      ),
    )


def _calibration(source: Source, paper: bool, attributes: bool) -> str:
  if not attributes:
    return "none: exclusive classes have no thresholds"
  if not source.calibrated:
    return "none: the run has no validation split with logits"
  if paper:
    return (
      "for each model and attribute the K-th largest validation logit, K the "
      "number of validation positives (so K − 1 are predicted)"
    )
  return (
    "for each model and attribute, set so that it predicts as many positives "
    "on the validation split as there are, midway between two logits; used "
    "only where a table or figure says “calibrated”"
  )


def _seeds(source: Source) -> Iterator[Row]:
  level = percent(source.level)
  draws = int(source.analysis.arrays.attrs.get("bootstraps", 0))
  yield (
    "What is random",
    "the seeds; training, validation and test set are fixed, unless a caption "
    "says otherwise",
  )
  yield (
    "Means and differences",
    f"{level} % t intervals, which assume normal seeds; dense and compressed "
    "members that pair are subtracted first (paired t); those that do not pair "
    "are compared by Welch's t",
  )
  yield (
    "Other tests of a change",
    "sign-flip permutation of the paired differences (symmetric differences) "
    f"and Wilcoxon's signed ranks, from {fewest_pairs()} pairs that differ: "
    "fewer cannot reach p = .05",
  )
  yield (
    "Spread over seeds",
    "sd with a chi-square interval; the ratio of two by Pitman and Morgan on "
    "pairs, of two runs of unrelated seeds by the F distribution; all assume "
    "normal seeds, more than the t intervals do",
  )
  yield (
    "Test set random too",
    "observed variance over seeds split into what another test set would "
    "change and what it would not; crossed standard error of members and "
    "examples with Satterthwaite's degrees of freedom",
  )
  yield (
    "Many tests",
    "p values on the page are not corrected unless it says so beside them "
    "(Bonferroni or Holm), or they are called adjusted (Benjamini and "
    "Hochberg, within one population and metric)",
  )
  yield (
    "Bootstrap",
    f"{draws:,} draws of members and test examples together, percentiles"
    if draws
    else "none asked for (prunebias analyze --bootstrap N)",
  )


def _examples(source: Source, paper: bool) -> Iterator[Row]:
  attrs = source.analysis.arrays.attrs
  draws, margin = attrs.get("permutations"), attrs.get("safe_margin")
  level = percent(source.level)
  yield (
    "Exemplars",
    "the majority label over the seeds differs between dense and compressed; "
    "of a tie "
    + (
      "the largest label counts"
      if paper
      else "the label of the larger mean probability counts"
    ),
  )
  yield (
    "Their null",
    "members change sides between dense and compressed, within a seed where "
    "members pair; all arrangements up to 10,000"
    + (f", else {draws:,} drawn from a fixed seed" if draws else ""),
  )
  yield (
    "Safe up to",
    "one-sided paired t tests that the size of a bias grew by "
    + (f"{margin:g} " if margin else "the margin ")
    + f"or more, at every level up to it, Holm over the levels, {level} %; "
    "not to be significant is never called safe",
  )
