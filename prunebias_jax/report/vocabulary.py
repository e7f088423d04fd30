"""What the metrics are called, their units, and how numbers are written."""

from collections.abc import Container, Sequence
import dataclasses
import math

NOT_AVAILABLE = "n/a"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
  """A metric as a reader meets it.

  Attributes:
    name: its name in the tables.
    title: its name in the report.
    unit: of its values, for an axis; "" for a plain number.
    change_unit: of a difference of two values.
    scale: tables' values times this are in the unit.
    decimals: to write.
    meaning: one sentence.
    complement: the report shows 1 - value.
  """

  name: str
  title: str
  unit: str = ""
  change_unit: str = ""
  scale: float = 1.0
  decimals: int = 3
  meaning: str = ""
  complement: bool = False

  @property
  def axis(self) -> str:
    """Title and unit."""
    return f"{self.title} ({self.unit})" if self.unit else self.title

  def shown(self, value: float) -> float:
    """A value of the tables in the report's unit."""
    return (1 - value if self.complement else value) * self.scale

  def shown_change(self, value: float) -> float:
    """A difference of the tables in the report's unit."""
    return (-value if self.complement else value) * self.scale

  def text(self, value: float) -> str:
    """A value as the report writes it, without its unit."""
    return number(self.shown(value), self.decimals)

  def change(self, value: float) -> str:
    """A difference as the report writes it, with its sign."""
    return number(self.shown_change(value), self.decimals, sign=True)

  def change_interval(self, low: float, high: float) -> str:
    """The interval of a difference; n/a where there is none."""
    ends = sorted((self.shown_change(low), self.shown_change(high)))
    if not all(map(math.isfinite, ends)):
      return NOT_AVAILABLE
    low_text, high_text = (
      number(end, self.decimals, sign=True) for end in ends
    )
    return f"[{low_text}, {high_text}]"


def _percent(name: str, title: str, meaning: str, **more: bool) -> Metric:
  return Metric(
    name=name,
    title=title,
    unit="%",
    change_unit="points",
    scale=100,
    decimals=2,
    meaning=meaning,
    **more,
  )


def _difference(name: str, title: str, meaning: str) -> Metric:
  """Of two shares: in points."""
  return dataclasses.replace(_percent(name, title, meaning), unit="points")


_METRICS = (
  _percent("accuracy", "Accuracy", "share of right predictions"),
  _percent(
    "balanced_accuracy",
    "Balanced accuracy",
    "mean of the true positive and the true negative rate (exclusive classes: "
    "mean of the classes' recalls)",
  ),
  _percent("recall", "Recall", "share of a class's examples that are found"),
  Metric(
    name="auc",
    title="AUC",
    meaning="probability that a positive example is ranked above a negative "
    "one (exclusive classes: each against the rest); 0.5 is chance",
  ),
  _percent(
    "uncertainty",
    "Uncertainty",
    "share of predictions whose probability is between 0.1 and 0.9 "
    "(exclusive classes: whose top probability is below 0.9)",
  ),
  Metric(
    name="entropy",
    title="Entropy",
    unit="bits",
    change_unit="bits",
    meaning="mean entropy of the predicted probabilities",
  ),
  _percent(
    "ece",
    "Calibration error",
    "expected calibration error in 10 equal-width bins",
  ),
  Metric(
    name="interdependence",
    title="Interdependence",
    unit="R²",
    change_unit="R²",
    meaning="share of the variance of an attribute's predictions that the "
    "predictions of the other attributes explain",
  ),
  Metric(
    name="tcb",
    title="TCB",
    unit="ratio",
    change_unit="",
    meaning="predicted over true rate of an attribute's rarer value; 1 is "
    "right, below 1 the rarer value is under-predicted",
  ),
  _percent(
    "predicted_positive", "Predicted positive", "share predicted positive"
  ),
  Metric(
    name="bias_amplification",
    title="Bias amplification",
    unit="points",
    change_unit="points",
    scale=100,
    decimals=2,
    meaning="share that a group has of the predicted positives minus its "
    "share of the true ones, for the group with the higher train rate; above "
    "0 the correlation in the data is exaggerated",
  ),
  _percent(
    "false_positive_rate",
    "False positive rate",
    "share of the negatives that are predicted positive",
  ),
  _percent(
    "false_negative_rate",
    "False negative rate",
    "share of the positives that are predicted negative",
  ),
  _percent(
    "worst_group_accuracy",
    "Worst group accuracy",
    "the lowest accuracy among the groups of an identity",
  ),
  _difference(
    "accuracy_gap",
    "Accuracy gap",
    "highest minus lowest accuracy of the groups",
  ),
  _difference(
    "equalized_odds_difference",
    "Equalized odds difference",
    "the larger of the groups' differences in true and in false positive rate",
  ),
  _difference(
    "demographic_parity_difference",
    "Demographic parity difference",
    "highest minus lowest share of a group that is predicted positive",
  ),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
ERROR = _percent(
  "accuracy", "Error", "share of wrong predictions", complement=True
)


def number(value: float, decimals: int, *, sign: bool = False) -> str:
  """A number with a true minus sign; n/a where it is not finite."""
  if not math.isfinite(value):
    return NOT_AVAILABLE
  text = f"{value:+,.{decimals}f}" if sign else f"{value:,.{decimals}f}"
  if float(text.replace(",", "")) == 0:
    text = f"{0:.{decimals}f}"
  return text.replace("-", "−")


def probability(value: float) -> str:
  """A p value; n/a where there is none."""
  if not math.isfinite(value):
    return NOT_AVAILABLE
  return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def percent(share: float) -> str:
  """A sparsity as a percentage: 0.995 is "99.5"."""
  return f"{round(100 * share, 6):g}"


def count_of(count: int, noun: str, plural: str = "") -> str:
  """A count with its noun: "1 seed", "2,000 examples"."""
  return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], last: str = "and") -> str:
  """Names as in a sentence: "a, b and c"."""
  if len(names) < 2:
    return "".join(names)
  return f"{', '.join(names[:-1])} {last} {names[-1]}"


def duration(seconds: float) -> str:
  """A time as a reader says it: "1 h 4 min", "12.3 s"."""
  if seconds < 60:
    return f"{seconds:.1f} s"
  minutes = round(seconds / 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def group_name(
  identity: str, value: str, *, valued: Container[str] = ()
) -> str:
  """A group as a reader names it: "Male", "not Male", "Male, not Young".

  Args:
    identity: of the group, or two with an asterisk between; "" for everyone.
    value: likewise.
    valued: the identities that have values other than 0 and 1, whose groups
      are written "Camera = 1".
  """
  if not identity:
    return "everyone"
  parts = zip(identity.split("*"), value.split("*"), strict=False)
  return ", ".join(
    f"{name} = {one}" if name in valued else _single(name, one)
    for name, one in parts
  )


def _single(identity: str, value: str) -> str:
  plain = {"1": identity, "0": f"not {identity}"}
  return plain.get(value, f"{identity} = {value}")
