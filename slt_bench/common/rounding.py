"""Exact rounding of real-valued shares to integers that sum to a total."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError


def round_to_total(shares: NDArray[np.float64], total: int, room: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round shares by largest remainders, with a cap on each layer; equal remainders go to the lower layer.

    Args:
        shares: float64[layers], at least 0, summing to about `total`.
        total: the exact sum of the result.
        room: int64[layers], the most that each layer can take.

    Returns:
        int64[layers], each in [0, room].

    Raises:
        BenchError: `total` is more than all the room.
    """
    if not 0 <= total <= int(room.sum()):
        raise BenchError(f"{total} edges do not fit into layers with room for {int(room.sum())}")
    whole = np.minimum(np.floor(shares).astype(np.int64), room)
    missing = total - int(whole.sum())
    while missing != 0:
        step = 1 if missing > 0 else -1  # -1 only where float error made the floors too large
        open_layers = np.flatnonzero(whole < room) if step > 0 else np.flatnonzero(whole > 0)
        order = open_layers[np.argsort(-step * (shares - whole)[open_layers], kind="stable")]
        chosen = order[: abs(missing)]
        whole[chosen] += step
        missing -= step * len(chosen)
    return whole
