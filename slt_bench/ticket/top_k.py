"""The exact top k by magnitude, or by value: the edges that a mask keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from slt_bench.common.errors import BenchError
from slt_bench.compute.passes import cut, in_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LOWEST, _HIGHEST = -(2**31), 2**31 - 1  # of the order of bits
_NARROWEST = 1 << 12  # steps of a float32's last bit from the middle of a bracket to its ends
_FEW = 4096  # scores in a bracket that are no reason to make it narrower
_TRIES = 4  # brackets, before a selection over all


class Diverged(BenchError):
    """A score or the loss is NaN or infinite: the search cannot go on."""


class TopK:
    """The largest of a vector of scores, chosen again and again: each choice begins where the last threshold was.

    A float32 orders as its bits do. As scores move little in a step, the k-th largest lies in a narrow bracket around the one
    of the step before; a pass over all scores counts those above and inside, and the few inside decide. A bracket that misses
    is moved, and the first one comes from a selection over all (docs/performance.md). The result depends on the scores alone.
    """

    def __init__(self) -> None:
        """Start without a bracket."""
        self._threshold: int | None = None  # in the order of bits
        self._width = _NARROWEST

    @torch.no_grad()
    def keep(self, scores: Tensor, count: int, mask: Tensor, by_magnitude: bool = True) -> Tensor:
        """Keep exactly the `count` edges of largest |score|, or score; among equal ones the lower index is kept.

        Args:
            scores: float32[n].
            count: edges to keep, 0 <= count <= n.
            mask: bool[n] to write into.
            by_magnitude: whether scores are compared by magnitude, and not by value.

        Returns:
            `mask`, with exactly `count` true.

        Raises:
            Diverged: a score is NaN or infinite; on a GPU nobody looks, and the search finds out at the end of the epoch.
            ValueError: `count` is out of range or the scores are not a float32 vector.
        """
        if scores.dtype != torch.float32 or scores.dim() != 1:
            raise ValueError(f"scores must be a float32 vector, not {scores.dtype}{list(scores.shape)}")
        if not 0 <= count <= scores.numel():
            raise ValueError(f"cannot keep {count} of {scores.numel()} edges")
        if scores.is_cuda:
            return keep_unseen(scores, count, mask, by_magnitude)
        scan = _Scan(scores, mask, by_magnitude)
        if count in (0, scores.numel()):
            scan.compare(_HIGHEST, _HIGHEST)  # are all finite?
            return mask.fill_(count > 0)
        places, values, rank = self._bracket(scan, count)
        self._threshold = threshold = int(values.kthvalue(len(values) - rank + 1).values)
        kept_equal = rank - int((values > threshold).sum())
        mask[places[values > threshold]] = True
        mask[places[values == threshold][:kept_equal]] = True
        return mask

    def _bracket(self, scan: _Scan, count: int) -> tuple[Tensor, Tensor, int]:
        """Find a bracket that holds the `count`-th largest score; the mask is then true for all above it.

        Returns:
            Places of the scores inside, int64[m], rising, their values in the order of bits, int32[m], and the rank of the one
            in question among them (from 1).
        """
        middle, width = self._threshold, self._width
        for _ in range(_TRIES):
            if middle is None:
                break
            low, high = max(_LOWEST, middle - width), min(_HIGHEST, middle + width)
            above, inside = scan.compare(low, high)
            if above < count <= above + inside:
                self._width = max(_NARROWEST, width // 2) if inside > _FEW else width
                return *scan.collect(low, high), count - above
            middle += 3 * width if above >= count else -3 * width
            width *= 2  # the next bracket begins where this one ends
        self._width = _NARROWEST
        low = scan.kth_largest(count) - 1
        above, _ = scan.compare(low, low + 1)
        return *scan.collect(low, low + 1), count - above


class _Scan:
    """A pass over all scores, by as many threads as pay."""

    def __init__(self, scores: Tensor, mask: Tensor, by_magnitude: bool) -> None:
        import numpy as np

        from slt_bench.ticket.top_k_loops import BLOCK

        self.bits: NDArray[np.int32] = scores.numpy().view(np.int32)
        self.mask, self.by_magnitude = mask.numpy(), by_magnitude
        self.parts = cut(len(self.bits), BLOCK)
        self.counts = [np.empty(-(-(part.stop - part.start) // BLOCK), np.int32) for part in self.parts]

    def compare(self, low: int, high: int) -> tuple[int, int]:
        """Set the mask for all scores above a bracket, and count them and those inside.

        Raises:
            Diverged: a score is NaN or infinite.
        """
        import numpy as np

        from slt_bench.ticket.top_k_loops import scan

        def work(number: int) -> tuple[int, int]:
            part, counts = self.parts[number], self.counts[number]
            return scan(self.bits[part], self.by_magnitude, np.int32(low), np.int32(high), self.mask[part], counts)

        found = in_threads(work, len(self.parts))
        if any(wrong for _, wrong in found):
            raise Diverged("a score is NaN or infinite")
        return sum(above for above, _ in found), sum(int(counts.sum()) for counts in self.counts)

    def collect(self, low: int, high: int) -> tuple[Tensor, Tensor]:
        """List where the scores inside the last bracket are, rising, and their values in the order of bits."""
        import numpy as np

        from slt_bench.ticket.top_k_loops import collect

        places = []
        for part, counts in zip(self.parts, self.counts, strict=True):
            found = np.empty(int(counts.sum()), np.int64)
            collect(self.bits[part], self.by_magnitude, np.int32(low), np.int32(high), counts, found)
            places.append(found + part.start)
        of_all = np.concatenate(places)
        return torch.from_numpy(of_all), _order(torch.from_numpy(self.bits[of_all]), self.by_magnitude)

    def kth_largest(self, count: int) -> int:
        """Find the `count`-th largest score by a selection over all, in the order of bits."""
        import numpy as np

        order = _order(torch.from_numpy(self.bits), self.by_magnitude).numpy()
        return int(np.partition(order, len(order) - count)[len(order) - count])


def _order(bits: Tensor, by_magnitude: bool) -> Tensor:
    """Turn the bits of float32 values into int32 of their order by magnitude or by value; -0 and 0 are equal."""
    magnitude = bits & _HIGHEST
    return magnitude if by_magnitude else torch.where(bits < 0, -magnitude, magnitude)


def keep_unseen(scores: Tensor, count: int, mask: Tensor, by_magnitude: bool = True) -> Tensor:
    """Keep the largest as `TopK.keep` does, without a look at the device: in a fixed number of its kernels.

    Whatever the host reads makes it wait for all work before and leaves a GPU idle for as long, and cannot be part of a CUDA
    graph. So threshold and ties stay tensors here. A NaN lies beyond the infinity of its sign; the loop looks for both once an
    epoch.

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
    bits = _order(scores.view(torch.int32), by_magnitude)
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
