"""The source network of one cell."""

from __future__ import annotations

from typing import Literal

from slt_bench.layouts import LockRule
from slt_bench.params.base import Model, Ratio, Seed

Layout = Literal["epl", "erk", "igq", "uniform", "from_ticket"]


class Source(Model):
    """Where a ticket is searched: what is frozen, and how it is spread."""

    prune_ratio: Ratio = 0.0
    lock_ratio: Ratio = 0.0
    layout: Layout | None = None
    lock_rule: LockRule | None = None
    ticket: str | None = None  # from_ticket: id of the cell that finds it
    ticket_identity: str | None = None  # and that cell's identity
    ticket_seed: Seed | None = None  # its seed, where that is not the cell's own
    shuffled: bool = False

    @property
    def freezing_ratio(self) -> float:
        """F = p + l."""
        return self.prune_ratio + self.lock_ratio

    @property
    def kind(self) -> Literal["dense", "randomly pruned", "frozen", "from ticket"]:
        """What decides on the roles."""
        if self.ticket:
            return "from ticket"
        return "frozen" if self.lock_ratio else "randomly pruned" if self.prune_ratio else "dense"

    def __str__(self) -> str:
        """For a reader: dense, or what is frozen and by which layout."""
        shares = [f"pruned {100 * self.prune_ratio:g} %"] if self.prune_ratio else []
        shares += [f"locked {100 * self.lock_ratio:g} %"] if self.lock_ratio else []
        how = f"{self.layout}, mirrored" if self.lock_rule == "mirrored" else str(self.layout)
        if self.ticket:
            _, _, _, search, _, sparsity, seed = self.ticket.split("_")
            how = f"as {search} {sparsity}{f' {seed}' if self.ticket_seed is not None else ''}"
            how += ", shuffled" if self.shuffled else ""
        return f"{' + '.join(shares)} ({how})" if shares else "dense"

    @property
    def id(self) -> str:
        """Short name: what it freezes, in percent, and how."""
        if not self.freezing_ratio:
            return "dense"
        shares = [f"p{percent(self.prune_ratio)}"] if self.prune_ratio else []
        shares += [f"l{percent(self.lock_ratio)}"] if self.lock_ratio else []
        how = [str(self.layout)]
        if self.ticket:
            _, _, source, search, recipe, sparsity, seed = self.ticket.split("_")
            how = ["as", source, search, recipe, sparsity]
            how += [seed] if self.ticket_seed is not None else []
            how += ["shuffled"] if self.shuffled else []
        how += ["mirrored"] if self.lock_rule == "mirrored" else []
        return "-".join(["".join(shares), *how])


def percent(ratio: float) -> str:
    """0.5 -> 50, 0.832 -> 83-2 (no dots: DVC reads them as paths)."""
    return f"{100 * ratio:.10g}".replace(".", "-")
