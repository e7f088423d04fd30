"""What verdicts add up to: rates by arm, and agreement between reviewers."""

from collections.abc import Sequence
import itertools
import math
from typing import Any

import scipy.stats

from prunebias_jax.audit.records import ARMS, VERDICTS, Record

LEVEL = 0.95


def cohen_kappa(
  first: Sequence[str], second: Sequence[str]
) -> tuple[float, str]:
  """Cohen's kappa of two reviewers' verdicts on the same cases.

  (p_o - p_e) / (1 - p_e): p_o the share of equal verdicts, p_e what two
  reviewers who guess with the rates of these would share (Cohen 1960, "A
  Coefficient of Agreement for Nominal Scales").

  Returns:
    kappa, and "" or why it is NaN.
  """
  count = len(first)
  if not count:
    return math.nan, "no case was judged by both"
  observed = sum(a == b for a, b in zip(first, second, strict=True)) / count
  expected = sum(first.count(one) * second.count(one) for one in {*first}) / (
    count * count
  )
  if expected == 1:
    return math.nan, "both gave one and the same verdict throughout"
  return (observed - expected) / (1 - expected), ""


def share_interval(count: int, total: int) -> tuple[float, float]:
  """Wilson's 95 % interval of a share (Wilson 1927); NaN of nothing."""
  if not total:
    return math.nan, math.nan
  found = scipy.stats.binomtest(count, total).proportion_ci(LEVEL, "wilson")
  return float(found.low), float(found.high)


def agreements(verdicts: Sequence[Record]) -> list[dict[str, Any]]:
  """Cohen's kappa of every two reviewers: cases, agreed, kappa, reason."""
  by_reviewer: dict[str, dict[tuple[str, str], str]] = {}
  for record in verdicts:
    given = by_reviewer.setdefault(record.reviewer, {})
    given[record.case] = record.verdict
  found = []
  for one, other in itertools.combinations(sorted(by_reviewer), 2):
    mine, theirs = by_reviewer[one], by_reviewer[other]
    both = [case for case in mine if case in theirs]
    first = [mine[case] for case in both]
    second = [theirs[case] for case in both]
    kappa, reason = cohen_kappa(first, second)
    found.append(
      {
        "first": one,
        "second": other,
        "cases": len(both),
        "agreed": sum(a == b for a, b in zip(first, second, strict=True)),
        "kappa": kappa,
        "reason": reason,
      }
    )
  return found


def rates(verdicts: Sequence[Record]) -> list[dict[str, Any]]:
  """How often each verdict was given, by arm.

  Of blind verdicts only: whoever was shown what the models say of a case can
  tell an exemplar from a control. A verdict counts once for each reviewer; the
  interval takes verdicts as independent.

  Returns:
    For each arm of the queue and verdict: count, total, share, low, high.
  """
  found = []
  for arm in ARMS[:-1]:
    given = [one.verdict for one in verdicts if one.blind and one.arm == arm]
    for verdict in VERDICTS:
      count = given.count(verdict)
      low, high = share_interval(count, len(given))
      found.append(
        {
          "arm": arm,
          "verdict": verdict,
          "count": count,
          "total": len(given),
          "share": count / len(given) if given else math.nan,
          "low": low,
          "high": high,
        }
      )
  return found
