"""Tables: rows that span grids of cells."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from slt_bench.params.base import Axis, Model, Name, Ratio, Seed
from slt_bench.params.claims import Claim
from slt_bench.params.datasets import Dataset
from slt_bench.params.machine import Machine
from slt_bench.params.networks import Network
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import Search
from slt_bench.params.sources import SourceGrid


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
