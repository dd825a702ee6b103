"""Layouts as somebody would write them: one that is right, and others that are refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]


def even(shapes: Sequence[tuple[int, ...]], sizes: Shares, total: int) -> Shares:
    return sizes * (total / sizes.sum())


def of_one_layer(shapes: Sequence[tuple[int, ...]], sizes: Shares, total: int) -> Shares:
    return np.array([float(total)])


def too_many(shapes: Sequence[tuple[int, ...]], sizes: Shares, total: int) -> Shares:
    return np.append(sizes[:-1], total + sizes[-1] - sizes.sum() + sizes[-1] + 1)


def nothing(shapes: Sequence[tuple[int, ...]], sizes: Shares, total: int) -> Shares:
    return sizes * np.nan


def too_few(shapes: Sequence[tuple[int, ...]], sizes: Shares, total: int) -> Shares:
    return sizes * (0.5 * total / sizes.sum())


def falling(shapes: Sequence[tuple[int, ...]], sizes: Shares, total: int) -> Shares:
    """Fills the first layers of few edges, the last ones of many: a layer has less at a higher density."""
    order = range(len(sizes)) if total < sizes.sum() / 2 else range(len(sizes) - 1, -1, -1)
    shares, left = np.zeros(len(sizes)), float(total)
    for index in order:
        shares[index] = min(left, sizes[index])
        left -= shares[index]
    return shares


def failing(shapes: Sequence[tuple[int, ...]], sizes: Shares, total: int) -> Shares:
    raise ZeroDivisionError("no gradient")
