"""Selection: which free edges the mask keeps."""

from __future__ import annotations

import torch
from torch import Tensor

from slt_bench.errors import BenchError

_INFINITY_BITS = 0x7F800000  # float32 +inf; larger patterns are NaN


class Diverged(BenchError):
    """A score is NaN or infinite: the search cannot go on."""


def keep_largest(scores: Tensor, count: int) -> Tensor:
    """The mask that keeps the `count` edges of largest |score|; among equal ones the lower index is kept.

    The k-th value is found by radix selection: a non-negative float32 orders as its bit pattern, so one histogram of the
    upper 15 bits finds the bin of the k-th value, and one of the lower 16 bits inside that bin finds the value itself.
    One pass over the scores and one over a bin, where a sort takes dozens.

    Args:
        scores: float32[n], learned scores.
        count: how many to keep, 0 <= count <= n.

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
    bits = scores.detach().abs().view(torch.int32)
    upper = bits >> 16
    histogram = torch.bincount(upper, minlength=1 << 15)
    if bool(histogram[_INFINITY_BITS >> 16 :].any()):
        raise Diverged("a score is NaN or infinite: lower the learning rate of this recipe")
    if count == 0 or count == scores.numel():
        return torch.full_like(bits, count > 0, dtype=torch.bool)
    bin_, inside = _descend(histogram, count)
    lower = bits[upper == bin_] & 0xFFFF
    low, needed = _descend(torch.bincount(lower, minlength=1 << 16), inside)
    threshold = (bin_ << 16) | low
    mask = bits >= threshold
    equal = torch.nonzero(bits == threshold).squeeze(1) if needed < int((lower == low).sum()) else None
    if equal is not None:
        mask[equal[needed:]] = False
    return mask


def _descend(histogram: Tensor, count: int) -> tuple[int, int]:
    """The bin that holds the `count`-th largest entry, and its rank inside that bin (from 1)."""
    at_or_above = histogram.flip(0).cumsum(0)
    position = int(torch.searchsorted(at_or_above, count))
    above = int(at_or_above[position - 1]) if position else 0
    return histogram.numel() - 1 - position, count - above
