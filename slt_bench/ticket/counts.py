"""Realised counts of edges."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Edges by what becomes of them, per layer or in all."""

    total: int
    pruned: int
    locked: int
    kept_free: int

    @property
    def kept(self) -> int:
        """Non-zero edges of the ticket: kept free ones and locked ones."""
        return self.kept_free + self.locked

    @property
    def density(self) -> float:
        """Kept share of all edges."""
        return self.kept / self.total
