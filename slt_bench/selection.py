"""Selection: which free edges the mask keeps."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from slt_bench.errors import BenchError

_INFINITY_BITS = 0x7F800000  # float32 +inf; larger patterns are NaN
_UPPER_HALF = slice(1 if sys.byteorder == "little" else 0, None, 2)  # of float32 values seen as pairs of int16


class Diverged(BenchError):
    """A score or the loss is NaN or infinite: the search cannot go on."""


@dataclass(frozen=True)
class Scratch:
    """Memory that selection works in: reused, since fresh memory costs more than the passes over it (docs/performance.md)."""

    magnitude: Tensor  # float32[n]
    upper: Tensor  # int16[n]

    @classmethod
    def of(cls, scores: Tensor) -> Scratch:
        """Enough for these scores."""
        return cls(torch.empty_like(scores, requires_grad=False), torch.empty_like(scores, dtype=torch.int16))

    def part(self, start: int, stop: int) -> Scratch:
        """The same memory for a slice."""
        return Scratch(self.magnitude[start:stop], self.upper[start:stop])

    @cached_property
    def bits(self) -> Tensor:
        """The magnitudes' bit patterns, which order as they do: int32[n]."""
        return self.magnitude.view(torch.int32)


@torch.no_grad()
def keep_largest(scores: Tensor, count: int, mask: Tensor | None = None, scratch: Scratch | None = None) -> Tensor:
    """The mask that keeps the `count` edges of largest |score|; among equal ones the lower index is kept.

    The k-th value is found by radix selection: a non-negative float32 orders as its bit pattern, so one histogram of the
    upper 16 bits finds the bin of the k-th value, and one of the lower 16 bits inside that bin finds the value itself.
    A few passes over the scores and one over a bin, where a sort takes dozens.

    Args:
        scores: float32[n], learned scores.
        count: how many to keep, 0 <= count <= n.
        mask: bool[n] to write into.
        scratch: memory to work in, overwritten.

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
    scratch = scratch or Scratch.of(scores)
    mask = torch.empty_like(scores, dtype=torch.bool) if mask is None else mask
    torch.abs(scores, out=scratch.magnitude)
    scratch.upper.copy_(scratch.magnitude.view(torch.int16)[_UPPER_HALF])
    histogram = torch.bincount(scratch.upper, minlength=1 << 15)
    if bool(histogram[_INFINITY_BITS >> 16 :].any()):
        raise Diverged("a score is NaN or infinite: lower the learning rate of this recipe")
    if count in (0, scores.numel()):
        return mask.fill_(count > 0)
    upper, inside = _descend(histogram, count)
    lower = scratch.bits[torch.eq(scratch.upper, upper, out=mask)] & 0xFFFF
    low, needed = _descend(torch.bincount(lower, minlength=1 << 16), inside)
    threshold = (upper << 16) | low
    torch.ge(scratch.bits, threshold, out=mask)
    if needed < int((lower == low).sum()):  # more ties than places
        mask[torch.nonzero(scratch.bits == threshold).squeeze(1)[needed:]] = False
    return mask


def _descend(histogram: Tensor, count: int) -> tuple[int, int]:
    """The bin that holds the `count`-th largest entry, and its rank inside that bin (from 1)."""
    at_or_above = histogram.flip(0).cumsum(0)
    position = int(torch.searchsorted(at_or_above, count))
    above = int(at_or_above[position - 1]) if position else 0
    return histogram.numel() - 1 - position, count - above
