"""Layouts: how a number of kept edges is spread over layers, exactly.

A layout first gives every layer a real-valued share; `round_to_total` turns the shares into integers that sum to the
asked total. Equations: Otsuka et al. 2025 (their released code) and, for ERK, Evci et al. 2020 (RigL).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError
from slt_bench.common.rounding import round_to_total
from slt_bench.params.sources import LayoutName, LockRule

Shape = tuple[int, ...]


def spread(layout: LayoutName, shapes: Sequence[Shape], total: int) -> NDArray[np.int64]:
    """Kept edges of each layer: integers in [0, N_l] that sum to `total` (0 <= total <= N)."""
    return round_to_total(real_shares(layout, shapes, total), total, _sizes(shapes))


def real_shares(layout: LayoutName, shapes: Sequence[Shape], total: int) -> NDArray[np.float64]:
    """What the layout's equation gives each layer, before rounding; sums to `total` up to float error."""
    sizes = _sizes(shapes).astype(np.float64)
    if not 0 <= total <= sizes.sum():
        raise BenchError(f"cannot keep {total} of {int(sizes.sum())} edges")
    if total in (0, sizes.sum()):
        return sizes * (total > 0)
    return _EQUATIONS[layout](shapes, sizes, total)


@dataclass(frozen=True)
class Budget:
    """Exact integer budgets of a source network, per layer and in all."""

    sizes: NDArray[np.int64]
    pruned: NDArray[np.int64]
    locked: NDArray[np.int64]

    @property
    def free(self) -> NDArray[np.int64]:
        """Edges of each layer that the search decides on."""
        return self.sizes - self.pruned - self.locked


def freeze(shapes: Sequence[Shape], prune_ratio: float, lock_ratio: float, layout: LayoutName, lock_rule: LockRule) -> Budget:
    """Spread round(pN) pruned and round(lN) locked edges over the layers.

    `joint` (Otsuka's released configurations): a layer's locked share is its frozen share at p + l less its pruned share
    at p, both from the layout. `mirrored`: the locked edges are what the layout would keep at density l, by itself; since
    every layout gives a layer more at a higher density, they always fit beside the pruned ones.
    """
    sizes = _sizes(shapes)
    total = int(sizes.sum())
    n_pruned = round(prune_ratio * total)
    n_locked = min(round(lock_ratio * total), total - n_pruned)  # p + l = 1: both may round up
    open_shares = real_shares(layout, shapes, total - n_pruned)
    pruned = sizes - round_to_total(open_shares, total - n_pruned, sizes)
    if lock_rule == "joint":
        locked_shares = open_shares - real_shares(layout, shapes, total - n_pruned - n_locked)
    else:
        locked_shares = real_shares(layout, shapes, n_locked)
    return Budget(sizes, pruned, round_to_total(locked_shares, n_locked, sizes - pruned))


def even_density(budget: Budget, kept: int, room: Sequence[int] | None = None) -> NDArray[np.int64]:
    """Free edges that local selection keeps in each layer: the same density in all, as near as their frozen edges allow.

    Args:
        budget: of the source network; a layer keeps its locked edges at least, and never its pruned ones.
        kept: edges to keep in all, locked ones included.
        room: the most free edges that each layer may keep; all if left out.

    Returns:
        int64[layers], within [0, free] and summing to `kept` less all locked edges.
    """
    most_free = budget.free if room is None else np.asarray(room, dtype=np.int64)
    least, most = budget.locked.astype(np.float64), (budget.locked + most_free).astype(np.float64)
    low, high = 0.0, 1.0
    for _ in range(100):
        density = (low + high) / 2
        low, high = (density, high) if np.clip(density * budget.sizes, least, most).sum() < kept else (low, density)
    shares = np.clip(high * budget.sizes, least, most) - least
    return round_to_total(shares, kept - int(budget.locked.sum()), most_free)


def _sizes(shapes: Sequence[Shape]) -> NDArray[np.int64]:
    return np.array([int(np.prod(shape)) for shape in shapes], dtype=np.int64)


def _water_fill(weights: NDArray[np.float64], sizes: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """min(N_l, c * weight_l), c solved so that the sum is `total`: full layers leave the equation one after another."""
    full = np.zeros(len(sizes), dtype=bool)
    while True:
        factor = (total - sizes[full].sum()) / weights[~full].sum()
        over = ~full & (factor * weights >= sizes)
        if not over.any():
            return np.where(full, sizes, factor * weights)
        full |= over
        if full.all():
            return sizes.copy()


def _epl(shapes: Sequence[Shape], sizes: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """Edges per layer: the same number everywhere; what exceeds a layer is shared equally among the others."""
    return _water_fill(np.ones(len(sizes)), sizes, total)


def _erk(shapes: Sequence[Shape], sizes: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """Erdos-Renyi-kernel: kept share of a layer min(1, c * sum(shape) / prod(shape))."""
    return _water_fill(np.array([float(sum(shape)) for shape in shapes]), sizes, total)


def _igq(shapes: Sequence[Shape], sizes: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """Ideal gas quotas: N_l / (1 + f N_l), f >= 0 by bisection on its logarithm."""
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        kept = (sizes / (1 + np.exp(middle) * sizes)).sum()
        low, high = (middle, high) if kept > total else (low, middle)
    return sizes / (1 + np.exp((low + high) / 2) * sizes)


def _uniform(shapes: Sequence[Shape], sizes: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """The same density everywhere."""
    return sizes * (total / sizes.sum())


_EQUATIONS: dict[LayoutName, Callable[[Sequence[Shape], NDArray[np.float64], int], NDArray[np.float64]]] = {
    "epl": _epl,
    "erk": _erk,
    "igq": _igq,
    "uniform": _uniform,
}
