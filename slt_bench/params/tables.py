"""Tables: rows that span grids of cells."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal

from pydantic import Field, model_validator

from slt_bench.layouts import LockRule
from slt_bench.params.base import Axis, Model, Name, Ratio, Seed
from slt_bench.params.images import Dataset
from slt_bench.params.machine import Machine
from slt_bench.params.searches import Search
from slt_bench.params.sources import Layout
from slt_bench.params.training import Network, Recipe


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


class Row(Model):
    """Cells of a table: the grid over every field that is a list. What is left out comes from the table."""

    id: Name | None = Field(None, description="by which claims name the row")
    label: str | None = Field(None, description="how the row is called in the table; made from the search and source if absent")
    search: Axis[Name]
    source: SourceGrid = Field(default_factory=lambda: SourceGrid.model_validate({}), description="dense if absent")
    sparsity: Axis[Ratio] | None = Field(None, description="share of ALL weights that are zero; absent for weight training")
    free_kept: Axis[Ratio] | None = Field(
        None,
        description="in place of sparsity: share of the free weights that the ticket keeps; s = 1 - l - (1 - p - l) free_kept",
    )
    dataset: Axis[Name] | None = None
    network: Axis[Name] | None = None
    recipe: Axis[Name] | None = None
    seeds: list[Seed] | None = Field(None, min_length=1)
    published: Axis[str] | None = Field(
        None, description="ids of published values: each stands beside the lines of its dataset, network and sparsity"
    )

    @model_validator(mode="after")
    def _one_way_to_say_how_sparse(self) -> Row:
        if self.sparsity is not None and self.free_kept is not None:
            raise ValueError("give either sparsity or free_kept")
        return self


class Side(Model):
    """One side of a claim."""

    row: Name = Field(description="id of a row; of its lines those are taken that agree with the other side's")
    sparsity: Ratio | None = Field(None, description="of the row's sparsities, this one")


class Claim(Model):
    """That one row is better than another, or smaller: put to the test by the seeds of a table."""

    text: str = Field(description="the claim, as a sentence")
    metric: Literal["top1", "bytes", "coded_bytes", "mask_packed_bytes", "dying_edge_ratio"] = "top1"
    of: Side
    over: Side
    compare: Literal["difference", "ratio"] = Field("difference", description="of - over, or of / over; paired by seed")
    beyond: float | None = Field(None, description="what the effect must exceed; 0 for a difference, 1 for a ratio if absent")
    across: Literal["each", "most"] = Field(
        "each", description="each pair of lines, or (up to) the one with the largest effect"
    )
    published: Axis[str] | None = Field(None, description="ids of the published sizes of the effect")

    @model_validator(mode="after")
    def _only_sizes_have_ratios(self) -> Claim:
        if self.compare == "ratio" and not self.metric.endswith("bytes"):
            raise ValueError(f"compare: ratio is for bytes; {self.metric} may be 0")
        return self


class Table(Model):
    """A table: its rows, what they have in common, and what is claimed of them."""

    title: str
    dataset: Axis[Name]
    network: Axis[Name]
    recipe: Axis[Name]
    seeds: list[Seed] = Field(min_length=1)
    note: str = Field("", description="printed under the table")
    rows: list[Row] = Field(min_length=1)
    claims: dict[Name, Claim] = Field(default_factory=dict)
    reduced: str | None = Field(None, description="set in tables that `small` makes: what was put in place of what")


class Small(Model):
    """A table again as TABLE-small: the same rows and claims at a budget that a laptop bears."""

    note: str = ""
    seeds: list[Seed] = Field(min_length=1)
    datasets: dict[Name, Name] = Field(default_factory=dict, description="what stands in place of what")
    networks: dict[Name, Name] = Field(default_factory=dict)
    recipes: dict[Name, Name] = Field(default_factory=dict)

    def of(self, table: Table) -> Table:
        """The table at this budget."""

        def swapped(group: Table | Row) -> dict[str, Any]:
            axes = {"dataset": self.datasets, "network": self.networks, "recipe": self.recipes}
            names = {axis: getattr(group, axis) for axis in axes}
            return {axis: [axes[axis].get(name, name) for name in names[axis]] for axis in axes if names[axis] is not None}

        rows = [
            row.model_copy(
                update=swapped(row) | {"source": self._swapped(row.source)} | ({"seeds": self.seeds} if row.seeds else {})
            )
            for row in table.rows
        ]
        instead = [f"{new} for {old}" for group in (self.datasets, self.networks, self.recipes) for old, new in group.items()]
        same = {"title": f"{table.title}, at a small budget", "note": self.note, "seeds": self.seeds, "rows": rows}
        return table.model_copy(update=swapped(table) | same | {"reduced": ", ".join(instead)})

    def _swapped(self, source: SourceGrid) -> SourceGrid:
        if source.ticket is None or source.ticket.recipe is None:
            return source
        recipe = self.recipes.get(source.ticket.recipe, source.ticket.recipe)
        return source.model_copy(update={"ticket": source.ticket.model_copy(update={"recipe": recipe})})


class Params(Model):
    """The whole of params.yaml."""

    machine: Machine = Field(default_factory=Machine)
    datasets: dict[Name, Dataset]
    networks: dict[Name, Network]
    recipes: dict[Name, Recipe]
    searches: dict[Name, Search]
    tables: dict[Name, Table]
    small: dict[Name, Small] = Field(default_factory=dict, description="tables by name, to be there as TABLE-small too")

    @model_validator(mode="after")
    def _small_tables_are_tables(self) -> Params:
        for name, small in self.small.items():
            if name not in self.tables:
                raise ValueError(f"small: there is no table '{name}' (there are: {', '.join(self.tables)})")
            if self.tables.get(f"{name}-small", self.tables[name]).reduced is None and f"{name}-small" in self.tables:
                raise ValueError(f"small: a table '{name}-small' is declared already")
            self.tables[f"{name}-small"] = small.of(self.tables[name])
        return self
