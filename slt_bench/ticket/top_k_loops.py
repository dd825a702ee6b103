"""The compiled loops of selection on a CPU: one pass over the scores, whose bits order as they do."""

from __future__ import annotations

from typing import Any

import numpy as np

from slt_bench.common.compiled import compiled

BLOCK = 256  # scores whose entries inside the bracket are counted together; the inner loops compile to vector instructions
_MAGNITUDE, _INFINITE = np.int32(0x7FFFFFFF), np.int32(0x7F800000)


@compiled
def order(bits: Any, by_magnitude: bool) -> Any:
    """Turn the bits of a float32, int32, into an int32 of its order by magnitude or by value; -0 and 0 are equal."""
    magnitude = np.int32(bits & _MAGNITUDE)
    return magnitude if by_magnitude or bits >= 0 else np.int32(-magnitude)


@compiled
def _mark_above(bits: Any, limit: Any, by_magnitude: bool, mask: Any) -> Any:
    """Write whether each score is above a limit, and count those that are."""
    count = np.int32(0)
    for i in range(bits.size):
        is_above = order(bits[i], by_magnitude) > limit
        mask[i] = is_above
        count = np.int32(count + np.int32(is_above))
    return count


@compiled
def _count_above(bits: Any, limit: Any, by_magnitude: bool) -> Any:
    """Count the scores above a limit."""
    count = np.int32(0)
    for i in range(bits.size):
        count = np.int32(count + np.int32(order(bits[i], by_magnitude) > limit))
    return count


@compiled
def scan(bits: Any, by_magnitude: bool, low: Any, high: Any, mask: Any, inside: Any) -> tuple[int, int]:
    """Compare scores with a bracket.

    Args:
        bits: int32[n], those of float32 scores.
        by_magnitude: whether they are compared by magnitude, and not by value.
        low: int32, as `order` gives it; the bracket's entries are above it.
        high: int32; and not above this.
        mask: bool[n], where it is written which scores are above the bracket.
        inside: int32[blocks], where it is written how many scores of each `BLOCK` are in it.

    Returns:
        How many scores are above the bracket, and how many are infinite or NaN.
    """
    above, wrong = 0, 0
    for block in range(inside.size):
        part = bits[block * BLOCK : (block + 1) * BLOCK]
        more = _mark_above(part, high, by_magnitude, mask[block * BLOCK : (block + 1) * BLOCK])
        inside[block] = _count_above(part, low, by_magnitude) - more
        wrong += _count_above(part, _INFINITE - np.int32(1), True)
        above += more
    return above, wrong


@compiled
def collect(bits: Any, by_magnitude: bool, low: Any, high: Any, inside: Any, places: Any) -> None:
    """List where the scores in a bracket are.

    Args:
        bits: as `scan` took it, like the next three.
        by_magnitude: whether they are compared by magnitude.
        low: of the bracket.
        high: of the bracket.
        inside: as `scan` wrote it.
        places: int64[sum of inside], where the result is written, rising.
    """
    found = 0
    for block in range(inside.size):
        if inside[block]:
            for i in range(block * BLOCK, min((block + 1) * BLOCK, bits.size)):
                value = order(bits[i], by_magnitude)
                if low < value <= high:
                    places[found] = i
                    found += 1
