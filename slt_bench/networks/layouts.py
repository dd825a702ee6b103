"""Layouts: how a number of kept edges is spread over the layers of a network, exactly.

A layout is one equation that gives every layer a real-valued share of the kept edges. `spread` turns the shares into
integers that sum to the requested total. A new layout of ours is a function here, a row of `EQUATIONS`, and a name in
`params.sources.LAYOUTS`; anybody's is a function `module:name` like those here: its shares are checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError
from slt_bench.common.plugins import resolve
from slt_bench.common.rounding import round_to_total

Shape = tuple[int, ...]
Shares = NDArray[np.float64]
Equation = Callable[[Sequence[Shape], Shares, int], Shares]
_FLOAT_ERROR = 1e-9  # of the sum of shares, as a share of all edges


def edges_per_layer(shapes: Sequence[Shape], sizes: Shares, total: int) -> Shares:
    """EPL: every layer keeps min(N_l, c) edges, with c from the total (Otsuka et al. 2025, their released code).

    What exceeds a small layer is shared equally among the others.

    Args:
        shapes: of the weights, [out, in, ...]; not used.
        sizes: float64[layers], N_l.
        total: edges to keep, 0 < total < N.

    Returns:
        float64[layers], summing to `total`.
    """
    return _fill(np.ones(len(sizes)), sizes, total)


def erdos_renyi_kernel(shapes: Sequence[Shape], sizes: Shares, total: int) -> Shares:
    """ERK: every layer keeps the share min(1, c * sum(shape) / prod(shape)) of its edges (Evci et al. 2020, RigL).

    Args:
        shapes: of the weights, [out, in, ...].
        sizes: float64[layers], N_l.
        total: edges to keep, 0 < total < N.

    Returns:
        float64[layers], summing to `total`.
    """
    return _fill(np.array([float(sum(shape)) for shape in shapes]), sizes, total)


def ideal_gas_quotas(shapes: Sequence[Shape], sizes: Shares, total: int) -> Shares:
    """IGQ: every layer keeps N_l / (1 + f N_l) edges, with f from the total (Otsuka et al. 2025, their released code).

    f > 0 is found by bisection on its logarithm.

    Args:
        shapes: of the weights, [out, in, ...]; not used.
        sizes: float64[layers], N_l.
        total: edges to keep, 0 < total < N.

    Returns:
        float64[layers], summing to `total` up to float error.
    """
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        kept = (sizes / (1 + np.exp(middle) * sizes)).sum()
        low, high = (middle, high) if kept > total else (low, middle)
    return sizes / (1 + np.exp((low + high) / 2) * sizes)


def uniform(shapes: Sequence[Shape], sizes: Shares, total: int) -> Shares:
    """Uniform: every layer keeps the share total / N of its edges.

    Args:
        shapes: of the weights, [out, in, ...]; not used.
        sizes: float64[layers], N_l.
        total: edges to keep, 0 < total < N.

    Returns:
        float64[layers], summing to `total` up to float error.
    """
    return sizes * (total / sizes.sum())


EQUATIONS: dict[str, Equation] = {
    "epl": edges_per_layer,
    "erk": erdos_renyi_kernel,
    "igq": ideal_gas_quotas,
    "uniform": uniform,
}


def real_shares(layout: str, shapes: Sequence[Shape], total: int) -> Shares:
    """Compute the kept edges of each layer before rounding, by the equation of a layout.

    Args:
        layout: a row of `EQUATIONS`, or an import path.
        shapes: of the weights, [out, in, ...].
        total: edges to keep in all layers, 0 <= total <= N.

    Returns:
        float64[layers], each in [0, N_l], summing to `total` up to float error.

    Raises:
        BenchError: `total` is out of range, or a layout of somebody's own is refused.
    """
    sizes = layer_sizes(shapes).astype(np.float64)
    if not 0 <= total <= sizes.sum():
        raise BenchError(f"cannot keep {total} of {int(sizes.sum())} edges")
    if total in (0, sizes.sum()):
        return sizes * (total > 0)
    if layout in EQUATIONS:
        return EQUATIONS[layout](shapes, sizes, total)
    return _foreign_shares(layout, shapes, sizes, total)


def _foreign_shares(layout: str, shapes: Sequence[Shape], sizes: Shares, total: int) -> Shares:
    """Compute the shares by a layout of somebody's own, and check them; arguments as those of an equation.

    Raises:
        BenchError: it cannot be imported, it fails, or its shares are not as an equation has to give them.
    """
    try:
        shares = np.array(resolve(layout, {})(list(shapes), sizes.copy(), total), dtype=np.float64)
    except BenchError:
        raise
    except Exception as error:  # whatever a foreign function does
        raise BenchError(f"layout {layout} fails: {type(error).__name__}: {error}") from error
    if shares.shape != sizes.shape:
        raise BenchError(f"layout {layout} gives shares of shape {list(shares.shape)} for {len(sizes)} layers")
    tolerance = _FLOAT_ERROR * float(sizes.sum())
    for index, (share, size) in enumerate(zip(shares.tolist(), sizes.tolist(), strict=True)):
        if not -tolerance <= share <= size + tolerance:  # nor NaN
            raise BenchError(f"layout {layout} keeps {share:g} of the {size:g} edges of layer {index + 1}")
    if abs(float(shares.sum()) - total) > max(tolerance, 1e-3):
        raise BenchError(f"layout {layout} keeps {shares.sum():g} edges in all instead of {total}")
    return np.clip(shares, 0.0, sizes)


def spread(layout: str, shapes: Sequence[Shape], total: int) -> NDArray[np.int64]:
    """Compute the kept edges of each layer as integers that sum to the total.

    Args:
        layout: a row of `EQUATIONS`, or an import path.
        shapes: of the weights, [out, in, ...].
        total: edges to keep in all layers, 0 <= total <= N.

    Returns:
        int64[layers], each in [0, N_l].

    Raises:
        BenchError: `total` is out of range, or a layout of somebody's own is refused.
    """
    return round_to_total(real_shares(layout, shapes, total), total, layer_sizes(shapes))


def layer_sizes(shapes: Sequence[Shape]) -> NDArray[np.int64]:
    """Count the edges of each layer: int64[layers], N_l."""
    return np.array([int(np.prod(shape)) for shape in shapes], dtype=np.int64)


def _fill(weights: Shares, sizes: Shares, total: float) -> Shares:
    """Solve min(N_l, c * weight_l) for the c at which the sum is `total`: full layers leave the equation one after another."""
    full = np.zeros(len(sizes), dtype=bool)
    while True:
        factor = (total - sizes[full].sum()) / weights[~full].sum()
        over = ~full & (factor * weights >= sizes)
        if not over.any():
            return np.where(full, sizes, factor * weights)
        full |= over
        if full.all():
            return sizes.copy()
