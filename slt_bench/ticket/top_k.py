"""Selection: which free edges the mask keeps."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from slt_bench.common.errors import BenchError

_INFINITY_BITS = 0x7F800000  # float32 +inf; larger patterns are NaN
_UPPER_HALF = slice(1 if sys.byteorder == "little" else 0, None, 2)  # of float32 values seen as pairs of int16


class Diverged(BenchError):
    """A score or the loss is NaN or infinite: the search cannot go on."""


@torch.no_grad()
def keep_largest(scores: Tensor, count: int, mask: Tensor | None = None, upper: Tensor | None = None) -> Tensor:
    """The mask that keeps the `count` edges of largest |score|; among equal ones the lower index is kept.

    The k-th value is found by radix selection: a non-negative float32 orders as its bit pattern, so one histogram of the
    upper 16 bits finds the bin of the k-th value, and one of the lower 16 bits inside that bin finds the value itself:
    a few passes, where a sort takes dozens (docs/performance.md).

    Args:
        scores: float32[n], learned scores.
        count: how many to keep, 0 <= count <= n.
        mask, upper: bool[n] to write into and int16[n] to work in, so that no memory is asked for.

    Returns:
        bool[n] with exactly `count` true.

    Raises:
        Diverged: a score is NaN or infinite.
        ValueError: `count` is out of range or the scores are not a float32 vector.
    """
    if scores.dtype != torch.float32 or scores.dim() != 1:
        raise ValueError(f"scores must be a float32 vector, not {scores.dtype}{list(scores.shape)}")
    if not 0 <= count <= scores.numel():
        raise ValueError(f"cannot keep {count} of {scores.numel()} edges")
    mask = torch.empty_like(scores, dtype=torch.bool) if mask is None else mask
    upper = torch.empty_like(scores, dtype=torch.int16) if upper is None else upper
    if not scores.numel():
        return mask
    torch.bitwise_and(scores.view(torch.int16)[_UPPER_HALF], 0x7FFF, out=upper)  # without the sign
    histogram = torch.bincount(upper, minlength=1 << 15)
    if bool(histogram[_INFINITY_BITS >> 16 :].any()):
        raise Diverged("a score is NaN or infinite")
    if count in (0, scores.numel()):
        return mask.fill_(count > 0)
    bin_, inside = _descend(histogram, count)
    candidates = _positions(torch.eq(upper, bin_, out=mask))
    lower = scores.view(torch.int32)[candidates] & 0xFFFF
    low, needed = _descend(torch.bincount(lower, minlength=1 << 16), inside)
    torch.gt(upper, bin_, out=mask)
    mask[candidates[lower > low]] = True
    mask[candidates[lower == low][:needed]] = True
    return mask


def _positions(mask: Tensor) -> Tensor:
    """Where a mask is true, rising: int64[k]. It is sparse: eight entries are looked at together, as one integer."""
    whole = mask.numel() // 8 * 8
    if mask.storage_offset() % 8 or not whole:
        return torch.nonzero(mask).squeeze(1)
    words = torch.nonzero(mask[:whole].view(torch.int64))
    inside = torch.arange(8, device=mask.device)
    near = torch.cat([(words * 8 + inside).flatten(), torch.arange(whole, mask.numel(), device=mask.device)])
    return near[mask[near]]


def _descend(histogram: Tensor, count: int) -> tuple[int, int]:
    """The bin that holds the `count`-th largest entry, and its rank inside that bin (from 1)."""
    at_or_above = histogram.flip(0).cumsum(0)
    position = int(torch.searchsorted(at_or_above, count))
    above = int(at_or_above[position - 1]) if position else 0
    return histogram.numel() - 1 - position, count - above
