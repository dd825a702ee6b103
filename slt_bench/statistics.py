"""Statistics of a search."""

from __future__ import annotations

import torch
from torch import Tensor


class DyingEdges:
    """Counts the free edges that were in no mask of the whole search (Iwasawa et al. 2023), exactly: every mask is seen.

    `seen` is bool[N_free]; it goes into checkpoints.
    """

    def __init__(self, free_edges: int, device: torch.device | str = "cpu") -> None:
        self.seen = torch.zeros(free_edges, dtype=torch.bool, device=device)

    def see(self, mask: Tensor) -> None:
        """Take note of a mask that was used."""
        self.seen |= mask

    @property
    def ratio(self) -> float:
        """Dying-edge ratio: share of free edges in no mask so far; 0 where there is no free edge."""
        free = self.seen.numel()
        return 1 - int(torch.count_nonzero(self.seen)) / free if free else 0.0
