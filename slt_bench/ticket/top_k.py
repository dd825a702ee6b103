"""The exact top k by magnitude, or by value: the edges that a mask keeps."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from slt_bench.common.errors import BenchError

_NOT_FINITE = 0x8000 - 0x7F80  # upper halves of +inf and of all NaNs: the largest patterns, without the sign
_UPPER_HALF = slice(1 if sys.byteorder == "little" else 0, None, 2)  # of float32 values seen as pairs of int16


class Diverged(BenchError):
    """A score or the loss is NaN or infinite: the search cannot go on."""


@torch.no_grad()
def keep_largest(
    scores: Tensor, count: int, mask: Tensor | None = None, upper: Tensor | None = None, by_magnitude: bool = True
) -> Tensor:
    """Keep exactly the `count` edges of largest |score|, or score; among equal ones the lower index is kept.

    Radix selection: a non-negative float32 orders as its bit pattern, so one histogram of the upper 16 bits finds the bin of
    the k-th value, and one of the lower 16 bits inside that bin finds the value itself: a few passes, where a sort takes
    dozens (docs/performance.md).

    Args:
        scores: float32[n].
        count: edges to keep, 0 <= count <= n.
        mask: bool[n] to write into, so that no memory is allocated.
        upper: int16[n] to work in, for the upper 16 bits of the scores; by magnitude alone.
        by_magnitude: whether scores are compared by magnitude, and not by value.

    Returns:
        bool[n] with exactly `count` true; `mask`, if there is one.

    Raises:
        Diverged: a score is NaN or infinite; on a GPU nobody looks, and the search finds out at the end of the epoch.
        ValueError: `count` is out of range or the scores are not a float32 vector.
    """
    _check(scores, count)
    mask = torch.empty_like(scores, dtype=torch.bool) if mask is None else mask
    if not scores.numel():
        return mask
    if scores.is_cuda:
        return keep_unseen(scores, count, mask, by_magnitude)
    if by_magnitude:
        bits, bins = scores.view(torch.int32), 1 << 15
        upper = torch.empty_like(scores, dtype=torch.int16) if upper is None else upper
        torch.bitwise_and(scores.view(torch.int16)[_UPPER_HALF], 0x7FFF, out=upper)  # without the sign
    else:
        bits, bins = _ordered_bits(scores), 1 << 16
        upper = (bits >> 16).add_(1 << 15)
    histogram = torch.bincount(upper, minlength=bins)
    if bool(histogram[-_NOT_FINITE:].any()) or (not by_magnitude and bool(histogram[:_NOT_FINITE].any())):
        raise Diverged("a score is NaN or infinite")
    if count in (0, scores.numel()):
        return mask.fill_(count > 0)
    upper_k, rank = _descend(histogram, count)
    candidates = _positions(torch.eq(upper, upper_k, out=mask))
    lower = bits[candidates] & 0xFFFF
    lower_k, rank = _descend(torch.bincount(lower, minlength=1 << 16), rank)
    torch.gt(upper, upper_k, out=mask)
    mask[candidates[lower > lower_k]] = True
    mask[candidates[lower == lower_k][:rank]] = True
    return mask


def keep_unseen(scores: Tensor, count: int, mask: Tensor, by_magnitude: bool = True) -> Tensor:
    """Keep the largest as `keep_largest` does, without a look at the device: in a fixed number of its kernels.

    Whatever the host reads makes it wait for all work before and leaves a GPU idle for as long, and cannot be part of a CUDA
    graph. So threshold and ties stay tensors here. NaNs count as the largest of all; the loop looks for them now and then.

    Args:
        scores: float32[n].
        count: edges to keep, 0 <= count <= n.
        mask: bool[n] to write into.
        by_magnitude: whether scores are compared by magnitude, and not by value.

    Returns:
        `mask`, with exactly `count` true.
    """
    if count in (0, scores.numel()):
        return mask.fill_(count > 0)
    bits = scores.view(torch.int32) & 0x7FFFFFFF if by_magnitude else _ordered_bits(scores)
    dropped = scores.numel() - count
    # The count-th largest is the (dropped + 1)-th smallest: whichever needs the shorter list.
    if count <= dropped:
        threshold = bits.topk(count, sorted=False).values.amin()
    else:
        threshold = bits.topk(dropped + 1, largest=False, sorted=False).values.amax()
    torch.gt(bits, threshold, out=mask)
    equal = bits == threshold
    rank = count - torch.count_nonzero(mask)  # of the last equal one that is kept
    return mask.logical_or_(equal.logical_and_(equal.cumsum(0, dtype=torch.int32) <= rank))


def _check(scores: Tensor, count: int) -> None:
    if scores.dtype != torch.float32 or scores.dim() != 1:
        raise ValueError(f"scores must be a float32 vector, not {scores.dtype}{list(scores.shape)}")
    if not 0 <= count <= scores.numel():
        raise ValueError(f"cannot keep {count} of {scores.numel()} edges")


def _ordered_bits(scores: Tensor) -> Tensor:
    """Turn values into integers of the same order: int32[n]; -0 and 0 are equal."""
    bits = (scores + 0.0).view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _positions(mask: Tensor) -> Tensor:
    """List where a sparse mask is true, rising: int64[k]. Eight entries are read together, as one integer."""
    whole = mask.numel() // 8 * 8
    if mask.storage_offset() % 8 or not whole:
        return torch.nonzero(mask).squeeze(1)
    words = torch.nonzero(mask[:whole].view(torch.int64))
    inside = torch.arange(8, device=mask.device)
    near = torch.cat([(words * 8 + inside).flatten(), torch.arange(whole, mask.numel(), device=mask.device)])
    return near[mask[near]]


def _descend(histogram: Tensor, count: int) -> tuple[int, int]:
    """Find the bin that holds the `count`-th largest entry, and the entry's rank inside that bin (from 1)."""
    at_or_above = histogram.flip(0).cumsum(0)
    position = int(torch.searchsorted(at_or_above, count))
    above = int(at_or_above[position - 1]) if position else 0
    return histogram.numel() - 1 - position, count - above
