"""Budgets: how many edges of each layer are pruned, locked and free in a source network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError
from slt_bench.common.plugins import is_plugin
from slt_bench.common.rounding import round_to_total
from slt_bench.networks.layouts import Shape, layer_sizes, real_shares
from slt_bench.params.sources import LockRule


@dataclass(frozen=True)
class Budget:
    """The exact numbers of edges of a source network, layer by layer: each is int64[layers]."""

    sizes: NDArray[np.int64]
    pruned: NDArray[np.int64]
    locked: NDArray[np.int64]

    @property
    def free(self) -> NDArray[np.int64]:
        """Edges of each layer that the search decides on."""
        return self.sizes - self.pruned - self.locked


def freeze(shapes: Sequence[Shape], prune_ratio: float, lock_ratio: float, layout: str, lock_rule: LockRule) -> Budget:
    """Spread round(pN) pruned and round(lN) locked edges over the layers.

    `joint` (Otsuka et al. 2025, their released configurations): a layer's locked share is its frozen share at p + l less its
    pruned share at p, both from the layout. `mirrored`: the locked edges are those that the layout would keep at density l;
    since every layout gives a layer more at a higher density, they always fit beside the pruned ones.

    Args:
        shapes: of the weights, [out, in, ...].
        prune_ratio: p in [0, 1].
        lock_ratio: l in [0, 1 - p].
        layout: how a number of edges is spread over the layers: a name of `layouts.EQUATIONS`, or an import path.
        lock_rule: `joint` or `mirrored`.

    Returns:
        The budget; its sums over the layers are exact.

    Raises:
        BenchError: a layout of somebody's own does not give every layer more at a higher density, or is refused by
            `layouts.real_shares`.
    """
    sizes = layer_sizes(shapes)
    total = int(sizes.sum())
    n_pruned = round(prune_ratio * total)
    n_locked = min(round(lock_ratio * total), total - n_pruned)  # p + l = 1: both may round up
    open_shares = real_shares(layout, shapes, total - n_pruned)
    pruned = sizes - round_to_total(open_shares, total - n_pruned, sizes)
    if lock_rule == "joint":
        locked_shares = open_shares - real_shares(layout, shapes, total - n_pruned - n_locked)
    else:
        locked_shares = real_shares(layout, shapes, n_locked)
    if is_plugin(layout):
        _check_rising(layout, locked_shares, sizes - pruned)
    return Budget(sizes, pruned, round_to_total(locked_shares, n_locked, sizes - pruned))


def _check_rising(layout: str, locked: NDArray[np.float64], room: NDArray[np.int64]) -> None:
    """Refuse a layout by which the locked edges of a layer would be less than none, or more than are not pruned."""
    for index, (share, most) in enumerate(zip(locked.tolist(), room.tolist(), strict=True)):
        if not -1e-3 <= share <= most + 1:  # real shares beside a rounded number of pruned edges
            raise BenchError(
                f"layout {layout} has {share:g} edges of layer {index + 1} locked, {most} are not pruned: a layout has to give "
                "every layer more at a higher density"
            )


def even_density(budget: Budget, kept: int, room: Sequence[int] | None = None) -> NDArray[np.int64]:
    """Compute the free edges that local selection keeps in each layer: one density in all, as near as frozen edges allow.

    Args:
        budget: of the source network; a layer keeps its locked edges at least, and never its pruned ones.
        kept: edges to keep in all layers, locked ones included.
        room: the most free edges that each layer may keep; all if left out.

    Returns:
        int64[layers], within [0, free] and summing to `kept` less all locked edges.

    Raises:
        BenchError: so many edges do not fit.
    """
    most_free = budget.free if room is None else np.asarray(room, dtype=np.int64)
    least, most = budget.locked.astype(np.float64), (budget.locked + most_free).astype(np.float64)
    low, high = 0.0, 1.0
    for _ in range(100):
        density = (low + high) / 2
        low, high = (density, high) if np.clip(density * budget.sizes, least, most).sum() < kept else (low, density)
    shares = np.clip(high * budget.sizes, least, most) - least
    return round_to_total(shares, kept - int(budget.locked.sum()), most_free)
