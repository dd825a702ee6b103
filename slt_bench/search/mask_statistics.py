"""Statistics of a search, cheap enough to be always on (benchmarks/test_statistics.py)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class MaskStatistics:
    """What becomes of the free edges over a search: which were ever kept, and how many change sides in an epoch.

    `seen` and `before` are bool[N_free]; they go into checkpoints.
    """

    def __init__(self, free_edges: int, device: torch.device | str = "cpu") -> None:
        self.seen = torch.zeros(free_edges, dtype=torch.bool, device=device)
        self.before = self.seen.clone()

    def see(self, mask: Tensor) -> None:
        """Take note of a mask that was used: after every selection."""
        self.seen |= mask

    @property
    def dying_edge_ratio(self) -> float:
        """Share of free edges in no mask so far (Iwasawa et al. 2023), exactly; 0 where there is no free edge."""
        free = self.seen.numel()
        return 1 - int(torch.count_nonzero(self.seen)) / free if free else 0.0

    def churn(self, mask: Tensor) -> float:
        """Share of free edges that changed sides since the last call: into the mask or out of it."""
        changed = int(torch.count_nonzero(self.before ^ mask))
        self.before.copy_(mask)
        return changed / mask.numel() if mask.numel() else 0.0


def magnitude_quantiles(values: Tensor, percents: Sequence[int]) -> list[float]:
    """Quantiles of |value| over the values that are not 0, each within 0.4 % of itself; zeros where there is none.

    They are read off one histogram of the upper 16 bits of float32[n]; a score of 0 is that of a closed edge.
    """
    upper = values.detach().abs().view(torch.int32) >> 16
    counts = torch.bincount(upper, minlength=1 << 15)
    counts[0] = 0
    total = counts.cumsum(0)
    if not int(total[-1]):
        return [0.0] * len(percents)
    wanted = torch.tensor([max(1, round(percent / 100 * int(total[-1]))) for percent in percents], device=values.device)
    bins = torch.searchsorted(total, wanted).to(torch.int32)
    middles: list[float] = ((bins << 16) | 0x8000).view(torch.float32).tolist()
    return middles
