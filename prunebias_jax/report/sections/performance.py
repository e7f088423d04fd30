"""How often the models are right, and how certain they are."""

from prunebias_jax.report.metric_figure import metrics_figure
from prunebias_jax.report.page import Section
from prunebias_jax.report.source import Source


def accuracy_section(source: Source) -> Section:
  """Accuracy, balanced accuracy (classes: recall) and AUC."""
  names = (
    ("accuracy", "balanced_accuracy", "auc")
    if source.output == "attribute"
    else ("accuracy", "recall", "auc")
  )
  return Section(
    slug="accuracy",
    title="How often are the models right?",
    short="Accuracy and AUC",
    parts=(
      metrics_figure(
        source, names, slug="performance", title="Accuracy and AUC"
      ),
    ),
  )


def certainty_section(source: Source) -> Section:
  """Uncertainty, entropy and calibration error."""
  return Section(
    slug="certain",
    title="How certain are they?",
    short="Uncertainty",
    parts=(
      metrics_figure(
        source,
        ("uncertainty", "entropy", "ece"),
        slug="certainty",
        title="Uncertainty, entropy and calibration",
      ),
    ),
  )
