"""Statistics of a search, cheap enough to be always on (benchmarks/test_statistics.py)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_EVER, _LAST = 1, 2  # bits of an edge


class MaskStatistics:
    """The fate of the free edges over a search: which were ever kept, and how many change sides in an epoch."""

    def __init__(self, free_edges: int, device: torch.device | str = "cpu") -> None:
        """Start before the first mask.

        Args:
            free_edges: N_free.
            device: where the masks are.
        """
        # uint8[N_free], two bits in one byte: whether an edge was in any mask, and in the one at the last call of `churn`.
        self.seen = torch.zeros(free_edges, dtype=torch.uint8, device=device)

    def see(self, mask: Tensor) -> None:
        """Record a mask that is used; to be called after every selection.

        Args:
            mask: bool[N_free].
        """
        self.seen |= mask.view(torch.uint8)

    @property
    def dying_edge_ratio(self) -> float:
        """Share of free edges in no mask so far (Iwasawa et al. 2023), exactly; 0 where there is no free edge."""
        free = self.seen.numel()
        return 1 - int(torch.count_nonzero(self.seen & _EVER)) / free if free else 0.0

    def churn(self, mask: Tensor) -> float:
        """Compute the share of free edges that changed sides since the last call: into the mask or out of it.

        Args:
            mask: bool[N_free], the mask of now.

        Returns:
            A share in [0, 1].
        """
        at_last_call = self.seen >= _LAST
        self.seen &= _EVER
        self.seen |= mask.view(torch.uint8) * _LAST
        return int(torch.count_nonzero(at_last_call ^ mask)) / mask.numel() if mask.numel() else 0.0

    def state(self) -> dict[str, Tensor]:
        """Give everything that later statistics depend on."""
        return {"seen": self.seen}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave.

        Args:
            state: tensors on any device.
        """
        self.seen.copy_(state["seen"])


def magnitude_quantiles(values: Tensor, percents: Sequence[int]) -> list[float]:
    """Compute quantiles of |value| over the values that are not 0: a score of 0 is that of a closed edge.

    They are read off one histogram of the upper 16 bits.

    Args:
        values: float32[n].
        percents: the quantiles, in percent.

    Returns:
        Each quantile within 0.4 % of itself; zeros where no value differs from 0.
    """
    upper = values.abs().view(torch.int32) >> 16
    counts = torch.bincount(upper, minlength=1 << 15)
    counts[0] = 0
    total = counts.cumsum(0)
    if not int(total[-1]):
        return [0.0] * len(percents)
    ranks = torch.tensor([max(1, round(percent / 100 * int(total[-1]))) for percent in percents], device=values.device)
    bins = torch.searchsorted(total, ranks).to(torch.int32)
    middles: list[float] = ((bins << 16) | 0x8000).view(torch.float32).tolist()
    return middles
