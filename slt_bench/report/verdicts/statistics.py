"""Means over seeds, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev

UNKNOWN = "—"
LEVEL = 0.95


def deviation(values: Sequence[float]) -> float | None:
    """Compute the sample standard deviation; None for less than two values."""
    return stdev(values) if len(values) > 1 else None


def mean_and_deviation(values: Sequence[float], digits: int = 2) -> str:
    """Write mean ± sample standard deviation; the deviation of a single value is unknown."""
    if not values:
        return UNKNOWN
    spread = deviation(values)
    return f"{mean(values):.{digits}f} ± {UNKNOWN if spread is None else f'{spread:.{digits}f}'}"


def interval(values: Sequence[float], selected_from: int = 1) -> tuple[float, float] | None:
    """Compute Student's 95 % interval of the mean; None for less than two values.

    Args:
        values: of one series.
        selected_from: number of series that this one was selected from; the level is that of all together (Bonferroni).

    Returns:
        The lower and the upper end.
    """
    if len(values) < 2:
        return None
    width = half_width(stdev(values), len(values), selected_from)
    return mean(values) - width, mean(values) + width


def half_width(spread: float, count: int, selected_from: int = 1) -> float:
    """Compute half the width of Student's 95 % interval of a mean.

    Args:
        spread: sample standard deviation.
        count: number of values, at least 2.
        selected_from: number of series, or of looks, that this one was selected from; the level is that of all together.
    """
    from scipy.stats import t

    return float(t.ppf(1 - (1 - LEVEL) / selected_from / 2, count - 1)) * spread / sqrt(count)
