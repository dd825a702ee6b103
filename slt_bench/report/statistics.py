"""Means over seeds, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev

UNKNOWN = "—"
LEVEL = 0.95


def mean_and_deviation(values: Sequence[float], digits: int = 2) -> str:
    """Mean ± sample standard deviation; the deviation of one value is unknown."""
    if not values:
        return UNKNOWN
    deviation = f"{stdev(values):.{digits}f}" if len(values) > 1 else UNKNOWN
    return f"{mean(values):.{digits}f} ± {deviation}"


def interval(values: Sequence[float], chosen_from: int = 1) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean; None for less than two values.

    Where these values were chosen from several series, the level is that of all together (Bonferroni).
    """
    if (n := len(values)) < 2:
        return None
    from scipy.stats import t

    width = float(t.ppf(1 - (1 - LEVEL) / chosen_from / 2, n - 1)) * stdev(values) / sqrt(n)
    return mean(values) - width, mean(values) + width
