"""Source networks: what of them is frozen, how that is spread, or the ticket that it comes from."""

from __future__ import annotations

from itertools import product
from typing import Literal

from pydantic import Field, model_validator

from slt_bench.common.text import percent
from slt_bench.params.base import Axis, Model, Name, Ratio, Seed

LayoutName = Literal["epl", "erk", "igq", "uniform"]  # those that follow from an equation: networks/layouts.py
Layout = Literal[LayoutName, "from_ticket"]
LockRule = Literal["joint", "mirrored"]


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
        spread = self._parent if self.ticket else str(self.layout)
        spread += ", mirrored" if self.lock_rule == "mirrored" else ""
        spread += ", shuffled" if self.shuffled else ""
        return f"{' + '.join(shares)} ({spread})" if shares else "dense"

    @property
    def _parent(self) -> str:
        """The ticket that gives the roles, for a reader."""
        _, _, _, search, _, sparsity, seed = str(self.ticket).split("_")
        return f"as {search} {sparsity}{f' {seed}' if self.ticket_seed is not None else ''}"

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


class TicketOf(Model):
    """A ticket that another cell of the same dataset and network finds: roles are taken from it."""

    search: Name
    sparsity: Ratio
    recipe: Name | None = Field(None, description="the table's (first) if absent")
    seed: Seed | None = Field(None, description="the cell's own if absent; another one re-draws the weights under the mask")
    shuffled: bool = Field(False, description="shuffle the ticket inside each layer")


class SourceGrid(Model):
    """Where the ticket is searched: the frozen shares of the source network; lists span a grid."""

    prune_ratio: Axis[Ratio] = Field(default_factory=lambda: [0.0], validate_default=True)
    lock_ratio: Axis[Ratio] = Field(default_factory=lambda: [0.0], validate_default=True)
    freezing_ratio: Axis[Ratio] | None = Field(None, description="in place of both: F = p + l, of which prune_share is pruned")
    prune_share: Axis[Ratio] | None = Field(None, description="p / F")
    layout: Axis[Layout] | None = Field(None, description="needed once anything is frozen")
    lock_rule: LockRule | None = Field(None, description="needed once anything is locked, but from a ticket")
    ticket: TicketOf | None = Field(None, description="layout from_ticket: prune what it drops, lock what it keeps")

    @property
    def ratios(self) -> list[tuple[float, float]]:
        """The pairs of prune ratio and lock ratio, rounded to twelve digits where they are products."""
        if self.freezing_ratio is None or self.prune_share is None:
            return list(product(self.prune_ratio, self.lock_ratio))
        pairs = [(round(ratio * share, 12), ratio) for ratio, share in product(self.freezing_ratio, self.prune_share)]
        return [(pruned, round(ratio - pruned, 12)) for pruned, ratio in pairs]

    @model_validator(mode="after")
    def _one_way_to_freeze(self) -> SourceGrid:
        if (self.freezing_ratio is None) != (self.prune_share is None):
            raise ValueError("freezing_ratio and prune_share go together")
        if self.freezing_ratio is not None and {"prune_ratio", "lock_ratio"} & self.model_fields_set:
            raise ValueError("give either prune_ratio and lock_ratio, or freezing_ratio and prune_share")
        return self

    @model_validator(mode="after")
    def _layout_and_rule_where_needed(self) -> SourceGrid:
        locks, freezes = any(locked for _, locked in self.ratios), any(map(sum, self.ratios))
        if freezes and self.layout is None:
            raise ValueError("a source with frozen edges needs a layout: epl, erk, igq, uniform or from_ticket")
        if (self.layout is not None and "from_ticket" in self.layout) != (self.ticket is not None):
            raise ValueError("layout from_ticket and ticket go together")
        if self.layout == ["from_ticket"] and self.lock_rule is not None:
            raise ValueError("layout from_ticket knows no lock_rule: leave it out")
        if locks and self.lock_rule is None and self.layout != ["from_ticket"]:
            raise ValueError("a source with locked edges needs a lock_rule: joint or mirrored")
        return self
