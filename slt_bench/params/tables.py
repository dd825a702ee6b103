"""Tables: rows that span grids of cells."""

from __future__ import annotations

from pydantic import Field, model_validator

from slt_bench.layouts import LockRule
from slt_bench.params.base import Axis, Model, Name, Ratio, Seed
from slt_bench.params.images import Dataset
from slt_bench.params.searches import Search
from slt_bench.params.sources import Layout
from slt_bench.params.training import Network, Recipe


class TicketOf(Model):
    """A ticket that another cell of the same dataset and network finds: roles are taken from it."""

    search: Name
    sparsity: Ratio
    recipe: Name | None = Field(None, description="the table's if absent")
    seed: Seed | None = Field(None, description="the cell's own if absent; another one re-draws the weights under the mask")
    shuffled: bool = Field(False, description="shuffle the ticket inside each layer")


class SourceGrid(Model):
    """Where the ticket is searched: the frozen shares of the source network; lists span a grid."""

    prune_ratio: Axis[Ratio] = Field(default_factory=lambda: [0.0], validate_default=True)
    lock_ratio: Axis[Ratio] = Field(default_factory=lambda: [0.0], validate_default=True)
    layout: Axis[Layout] | None = Field(None, description="needed once anything is frozen")
    lock_rule: LockRule | None = Field(None, description="needed once anything is locked, but from a ticket")
    ticket: TicketOf | None = Field(None, description="layout from_ticket: prune what it drops, lock what it keeps")

    @model_validator(mode="after")
    def _layout_and_rule_where_needed(self) -> SourceGrid:
        locks, freezes = max(self.lock_ratio) > 0, max(self.prune_ratio + self.lock_ratio) > 0
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

    label: str | None = Field(None, description="how the row is called in the table; made from the search and source if absent")
    search: Axis[Name]
    source: SourceGrid = Field(default_factory=lambda: SourceGrid.model_validate({}), description="dense if absent")
    sparsity: Axis[Ratio] | None = Field(None, description="share of ALL weights that are zero; absent for weight training")
    dataset: Axis[Name] | None = None
    network: Axis[Name] | None = None
    recipe: Axis[Name] | None = None
    seeds: list[Seed] | None = Field(None, min_length=1)
    published: str | None = Field(None, description="id of a published value that stands beside the row")


class Table(Model):
    """A table: its rows, and what they have in common."""

    title: str
    dataset: Name
    network: Name
    recipe: Name
    seeds: list[Seed] = Field(min_length=1)
    note: str = Field("", description="printed under the table")
    rows: list[Row] = Field(min_length=1)


class Machine(Model):
    """How this machine runs things. No result depends on it, but on a CPU the last bits on the threads of each process."""

    processes: int = Field(1, ge=1, le=1024, description="for one search, one for each GPU; no more than its recipe has shards")
    workers: int = Field(1, ge=1, le=256, description="threads of each process that load images")
    checkpoint_minutes: float = Field(10.0, gt=0, description="between saved states within an epoch")


class Params(Model):
    """The whole of params.yaml."""

    machine: Machine = Field(default_factory=Machine)
    datasets: dict[Name, Dataset]
    networks: dict[Name, Network]
    recipes: dict[Name, Recipe]
    searches: dict[Name, Search]
    tables: dict[Name, Table]
