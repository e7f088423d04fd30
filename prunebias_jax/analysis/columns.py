"""The columns of every table in RUN/analysis: a contract with its readers."""

MEMBER = ("pruner", "sparsity", "quantization", "seed")
# The seed of the dense member that a member pairs with.
PARENT = "parent_seed"
# Seeds by purpose, which members of crossed designs have besides.
PURPOSES = ("seed_init", "seed_order", "seed_augment")
POPULATION = ("pruner", "sparsity", "quantization")
WHERE = ("checkpoint", "split")
KEY = (*MEMBER, *WHERE)
POPULATION_KEY = (*POPULATION, *WHERE)
CELL = ("threshold_rule", "metric", "attribute", "identity", "value")

# Metrics of one member and attribute (multi-class: one member and class).
ATTRIBUTE_METRICS = (
  "accuracy",
  "auc",
  "predicted_positive",
  "uncertainty",
  "high_uncertainty",
  "entropy",
  "interdependence",
  "tcb",
  "ece",
  "threshold",
)
CLASS_METRICS = (
  "recall",
  "false_positive_rate",
  "predicted_positive",
  "tcb",
  "auc",
  "accuracy",
  "uncertainty",
  "entropy",
  "ece",
)
# Of a classifier as a whole.
OVERALL_METRICS = ("accuracy", "uncertainty", "entropy", "ece")
GROUP_METRICS = (
  "accuracy",
  "false_positive_rate",
  "false_negative_rate",
  "selection_rate",
)
# Summarised over seeds although no table of members has them as a column: of
# each attribute, and of a classifier as a whole.
DERIVED_METRICS = ("balanced_accuracy",)
DERIVED_OVERALL_METRICS = ("balanced_accuracy",)

TABLES: dict[str, tuple[str, ...]] = {
  "attributes": (
    *KEY,
    "threshold_rule",
    "attribute",
    *ATTRIBUTE_METRICS,
    "reason",
  ),
  "classes": (*KEY, "class", *CLASS_METRICS, "reason"),
  "bias_amplification": (
    *KEY,
    "threshold_rule",
    "identity",
    "value",
    "attribute",
    "bias_amplification",
    "flags",
    "reason",
  ),
  "groups": (
    *KEY,
    "threshold_rule",
    "attribute",
    "identity",
    "value",
    "n_positive",
    "n_negative",
    *GROUP_METRICS,
    "reason",
  ),
  "variance": (
    *POPULATION_KEY,
    *CELL,
    "n_seeds",
    "mean",
    "mean_low",
    "mean_high",
    "sd",
    "sd_low",
    "sd_high",
    "var_observed",
    "var_test_set",
    "var_distribution",
    "crossed_se",
    "crossed_df",
    "crossed_low",
    "crossed_high",
    "bootstrap_low",
    "bootstrap_high",
    "interval",
    "reason",
  ),
  "contrasts": (
    *POPULATION_KEY,
    *CELL,
    "n_seeds",
    "difference",
    "low",
    "high",
    "sd_difference",
    "t_p",
    "signflip_p",
    "wilcoxon_p",
    "correlation",
    "variance_ratio",
    "ratio_low",
    "ratio_high",
    "pitman_morgan_p",
    "p_adjusted",
    "reason",
  ),
}

# Text in every table; an empty cell in one of these means "", not missing.
TEXT = (
  "pruner",
  "quantization",
  "checkpoint",
  "split",
  "threshold_rule",
  "metric",
  "attribute",
  "class",
  "identity",
  "value",
  "flags",
  "interval",
  "reason",
)

# Numbers that some metrics have by definition and others do not, or that only
# come when asked for: a row without them lacks nothing.
OPTIONAL = (
  "var_test_set",
  "var_distribution",
  "crossed_se",
  "crossed_df",
  "crossed_low",
  "crossed_high",
  "bootstrap_low",
  "bootstrap_high",
)

# Whole numbers that may be missing.
COUNTS = ("n_positive", "n_negative")

EVERYONE = ""
MEAN = "(mean)"
ALL = "(all)"
# The checkpoint and split that every analysis has; the others are those that
# were evaluated besides.
MAIN = ("last", "test")
# Thresholds are calibrated on it; it has no rows of its own.
CALIBRATION = "valid"
RULES = ("default", "calibrated")
