"""The exact top k without a look at the device: the same choice as `top_k.keep_largest`, in a fixed number of kernels.

On a GPU every value that the host reads makes it wait for all work before, and leaves the device idle for as long; and what the
host reads cannot be part of a CUDA graph. So threshold and ties stay tensors here.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEVELS = ((20, 12), (9, 11), (0, 9))  # shift and width of the digits of 32 bits, the highest first


def keep_largest_on_device(bits: Tensor, count: int, mask: Tensor) -> Tensor:
    """Keep exactly the `count` largest entries; among equal ones the lower index is kept.

    Radix selection by three histograms: each finds the next digit of the `count`-th largest entry, among those that agree with
    it in the digits before.

    Args:
        bits: int32[n], whose order is that of the scores.
        count: entries to keep, 0 < count < n.
        mask: bool[n] to write into.

    Returns:
        `mask`, with exactly `count` true.
    """
    first: int | Tensor = -(1 << 11)  # of the digits at hand: those with a sign begin here
    rank = torch.full((), count, dtype=torch.int64, device=bits.device)
    value = torch.zeros_like(rank, dtype=torch.int32)
    for shift, width in _LEVELS:
        first = first if shift == _LEVELS[0][0] else value << width
        digits = (bits >> shift).sub_(first)  # outside of [0, 2^width) where the digits before differ
        at_or_above = _histogram(digits, 1 << width).flip(0).cumsum(0, dtype=torch.int64)
        reached = at_or_above >= rank
        value = (reached.sum() - 1 + first).to(torch.int32)
        rank = rank - torch.where(reached, 0, at_or_above).amax()
    torch.gt(bits, value, out=mask)
    equal = bits == value
    return mask.logical_or_(equal.logical_and_(equal.cumsum(0, dtype=torch.int32) <= rank))


def _histogram(digits: Tensor, bins: int) -> Tensor:
    """Count each of the values from 0 to `bins` - 1, and none outside: an integer for each."""
    if digits.is_cuda:
        return torch.histc(digits, bins=bins, min=0, max=bins - 1)  # of integers it is exact, and each bin is one value
    return torch.bincount(digits[(digits >= 0) & (digits < bins)], minlength=bins)
