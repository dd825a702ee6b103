"""Counts of edges under a mask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Actual numbers of edges, of one layer or of a whole network."""

    total: int
    pruned: int
    locked: int
    kept_free: int

    @property
    def kept(self) -> int:
        """Non-zero edges: the free ones that the mask keeps, and the locked ones."""
        return self.kept_free + self.locked

    @property
    def density(self) -> float:
        """Share of all edges that are kept."""
        return self.kept / self.total
