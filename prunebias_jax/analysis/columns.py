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
  "ece_sweep",
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
  "ece_sweep",
)
# Of a classifier as a whole.
OVERALL_METRICS = ("accuracy", "uncertainty", "entropy", "ece", "ece_sweep")
GROUP_METRICS = (
  "accuracy",
  "false_positive_rate",
  "false_negative_rate",
  "selection_rate",
)
# Of one member and identity attribute.
DIRECTIONAL_METRICS = ("attribute_to_task", "task_to_attribute", "mals")
# Of one member, attribute, and identity or crossing.
FAIRNESS_METRICS = (
  "demographic_parity_difference",
  "demographic_parity_ratio",
  "equalized_odds_difference",
  "equalized_odds_ratio",
  "equal_opportunity_difference",
  "worst_group_accuracy",
  "accuracy_gap",
)
OVERALL_FAIRNESS_METRICS = ("worst_group_accuracy", "accuracy_gap")
FAIRNESS_COUNTS = ("n_groups", "fewest_positive", "fewest_negative")
# Of a group, against dense.
CHANGED_RATES = (
  "error",
  "false_positive_rate",
  "false_negative_rate",
  "true_positive_rate",
  "selection_rate",
)
# What is split into bias and variance.
LOSSES = ("squared_error", "cross_entropy")
# Summarised over seeds although no table of members has them as a column: of
# each attribute, and of a classifier as a whole.
DERIVED_METRICS = ("balanced_accuracy",)
DERIVED_OVERALL_METRICS = ("balanced_accuracy",)

# What is estimated of a cell over seeds, and besides over test examples.
CROSSED_NUMBERS = ("crossed_se", "crossed_df", "crossed_low", "crossed_high")
VARIANCE_NUMBERS = (
  "mean",
  "mean_low",
  "mean_high",
  "sd",
  "sd_low",
  "sd_high",
  "var_observed",
  "var_test_set",
  "var_distribution",
  *CROSSED_NUMBERS,
)
BOOTSTRAP_NUMBERS = ("bootstrap_low", "bootstrap_high")
# The same against dense, and of a group's rate against dense.
CONTRAST_NUMBERS = (
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
)
CHANGE_NUMBERS = (
  "dense",
  "compressed",
  "change",
  "low",
  "high",
  "relative",
  "relative_low",
  "relative_high",
)
# How many seeds a change needs, with the ends of its interval.
NEEDED = ("n_seeds", "n_low", "n_high")

# How two populations are compared, example by example.
EXCHANGED = ("n_dense", "n_compressed", "null", "n_permutations")

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
  "directional": (
    *KEY,
    "threshold_rule",
    "identity",
    *DIRECTIONAL_METRICS,
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
  "fairness": (
    *KEY,
    "threshold_rule",
    "attribute",
    "identity",
    *FAIRNESS_COUNTS,
    *FAIRNESS_METRICS,
    "reason",
  ),
  "group_changes": (
    *POPULATION_KEY,
    "threshold_rule",
    "attribute",
    "identity",
    "value",
    "rate",
    "n_positive",
    "n_negative",
    "n_seeds",
    *CHANGE_NUMBERS,
    "reason",
  ),
  "class_tests": (
    *POPULATION_KEY,
    "threshold_rule",
    "attribute",
    "n_examples",
    "n_dense",
    "n_compressed",
    "shift_dense",
    "shift_compressed",
    "difference",
    "low",
    "high",
    "p",
    "p_adjusted",
    "test",
    "reason",
  ),
  "bias_variance": (
    *POPULATION_KEY,
    "attribute",
    "identity",
    "value",
    "loss",
    "n_examples",
    "n_seeds",
    "expected_loss",
    "bias",
    "variance",
    "reason",
  ),
  "agreement": (
    *POPULATION_KEY,
    "threshold_rule",
    "attribute",
    "n_seeds",
    "disagreement",
    "error_correlation",
    "n_pairs",
    "disagreement_dense",
    "low",
    "high",
    "reason",
  ),
  "correlations": (
    *POPULATION_KEY,
    "threshold_rule",
    "of",
    "attribute",
    "other",
    "labels",
    "n_seeds",
    "correlation",
    "n_pairs",
    "change",
    "low",
    "high",
    "reason",
  ),
  "variance": (
    *POPULATION_KEY,
    *CELL,
    "n_seeds",
    *VARIANCE_NUMBERS,
    *BOOTSTRAP_NUMBERS,
    "interval",
    "reason",
  ),
  "contrasts": (
    *POPULATION_KEY,
    *CELL,
    "n_seeds",
    *CONTRAST_NUMBERS,
    "p_adjusted",
    "reason",
  ),
  "power": (
    *POPULATION_KEY,
    *CELL,
    "delta",
    "n_now",
    "sd_difference",
    *NEEDED,
    "detectable_now",
    "reason",
  ),
  # Over sparsities: it has no such column.
  "trends": (
    "pruner",
    "quantization",
    *WHERE,
    *CELL,
    "levels",
    "n_seeds",
    "sd_first",
    "sd_last",
    "slope",
    "p",
    "p_adjusted",
    "reason",
  ),
  "sources": (
    *POPULATION_KEY,
    *CELL,
    "source",
    "n_levels",
    "df",
    "mean_square",
    "variance",
    "reason",
  ),
  "exemplars": (
    *POPULATION_KEY,
    "example_id",
    "attribute",
    "dense_share",
    "compressed_share",
    "modal_dense",
    "modal_compressed",
    "is_cie",
    "taxicab",
    "excess",
    "onset",
    "rank",
    "control",
    "reason",
  ),
  "exemplar_tests": (
    *POPULATION_KEY,
    "attribute",
    "identity",
    "value",
    "n",
    *EXCHANGED,
    "cie_share",
    "null_mean",
    "excess",
    "p",
    "p_adjusted",
    "n10",
    "n01",
    "accuracy_change",
    "p_accuracy",
    "p_conditional",
    "tie_rate",
    "tied_mass",
    "reason",
  ),
  "exemplar_accuracy": (
    *POPULATION_KEY,
    "attribute",
    "set",
    *EXCHANGED,
    "n",
    "dense_accuracy",
    "dense_sd",
    "compressed_accuracy",
    "compressed_sd",
    "reason",
  ),
  "over_indexing": (
    *POPULATION_KEY,
    "attribute",
    "given",
    "identity",
    "value",
    *EXCHANGED,
    "n_exemplars",
    "n_group",
    "share_exemplars",
    "share_all",
    "ratio",
    "low_conditional",
    "high_conditional",
    "null_mean",
    "p",
    "p_adjusted",
    "p_conditional",
    "reason",
  ),
  "queue": (
    *POPULATION_KEY,
    "attribute",
    "target",
    "ranking",
    "budget",
    *EXCHANGED,
    "n",
    "recall",
    "precision",
    "lift",
    "tied_mass",
    "reason",
  ),
  "sample_criteria": (
    *POPULATION_KEY,
    "attribute",
    "identity",
    "value",
    "target",
    "criterion",
    "n",
    "base_rate",
    "auroc",
    "recall_1",
    "recall_5",
    "recall_10",
    "recall_20",
    "lift_1",
    "lift_5",
    "lift_10",
    "lift_20",
    "susceptible",
    "susceptible_recall",
    "susceptible_lift",
    "reason",
  ),
  "criteria": (
    *POPULATION_KEY,
    "threshold_rule",
    "target",
    "identity",
    "value",
    "criterion",
    "n_attributes",
    "spearman",
    "low",
    "high",
    "n_decided",
    "n_not_safe",
    "decision_accuracy",
    "majority_accuracy",
    "sentence",
    "reason",
  ),
  "safety": (
    *POPULATION_KEY,
    *CELL,
    "n_seeds",
    "change",
    "lower",
    "upper",
    "p_safe",
    "p_not_safe",
    "verdict",
    "safe_up_to",
    "sentence",
    "reason",
  ),
  "countermeasures": (
    *POPULATION_KEY,
    "countermeasure",
    "fitted_on",
    "override",
    "selection",
    "budget",
    "metric",
    "attribute",
    "identity",
    "value",
    "n_seeds",
    "mean",
    "sd",
    "change",
    "change_low",
    "change_high",
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
  "rate",
  "loss",
  "of",
  "attribute",
  "other",
  "class",
  "identity",
  "value",
  "flags",
  "interval",
  "example_id",
  "set",
  "given",
  "target",
  "ranking",
  "null",
  "levels",
  "source",
  "n_levels",
  "criterion",
  "verdict",
  "sentence",
  "test",
  "countermeasure",
  "fitted_on",
  "override",
  "selection",
  "reason",
)

# Numbers that some metrics have by definition and others do not, or that only
# come when asked for: a row without them lacks nothing.
OPTIONAL = (
  "var_test_set",
  "var_distribution",
  *CROSSED_NUMBERS,
  *BOOTSTRAP_NUMBERS,
)

COUNTS = ("n_positive", "n_negative")
_MISSABLE = {*COUNTS, *FAIRNESS_COUNTS, "n", "n10", "n01"}
# Whole numbers that may be missing, of each table.
NULLABLE: dict[str, tuple[str, ...]] = {
  table: tuple(name for name in columns if name in _MISSABLE)
  for table, columns in TABLES.items()
} | {"power": NEEDED}

EVERYONE = ""
# The identity of the examples that carry a marker.
MARKED = "Marked"
MEAN = "(mean)"
ALL = "(all)"
# The checkpoint and split that every analysis has; the others are those that
# were evaluated besides.
MAIN = ("last", "test")
# Thresholds are calibrated on it; it has no rows of its own.
CALIBRATION = "valid"
RULES = ("default", "calibrated")
