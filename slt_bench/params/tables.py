"""Tables: each row spans a grid of cells; a table like another one repeats its rows and claims."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from slt_bench.params.base import Axis, Model, Name, Ratio, Seed
from slt_bench.params.claims import Claim
from slt_bench.params.datasets import Dataset
from slt_bench.params.machine import Machine
from slt_bench.params.networks import AnyNetwork
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import AnySearch
from slt_bench.params.sources import SourceGrid


def _each_once(seeds: list[Seed]) -> list[Seed]:
    """Refuse a seed that stands twice: it would count as two measurements."""
    if again := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise ValueError(f"each seed once, {', '.join(map(str, again))} stands there several times")
    return seeds


Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(_each_once)]


class Row(Model):
    """A row of a table: the grid of cells over every field that is a list. Fields that are absent come from the table."""

    id: Name | None = Field(None, description="name of the row in claims")
    label: str | None = Field(None, description="name of the row in the table; by its search and source if absent")
    search: Axis[Name]
    source: SourceGrid = Field(default_factory=lambda: SourceGrid.model_validate({}), description="dense if absent")
    sparsity: Axis[Ratio] | None = Field(
        None, description="share of ALL weights that are zero, below 1; absent for weight training"
    )
    free_kept: Axis[Ratio] | None = Field(
        None,
        description="in place of sparsity: share of the free weights that the ticket keeps; s = 1 - l - (1 - p - l) free_kept",
    )
    network: Axis[Name] | None = None
    recipe: Axis[Name] | None = None
    seeds: Seeds | None = None
    published: Axis[str] | None = Field(
        None, description="ids of published values: each stands beside the lines of its network and sparsity"
    )

    @model_validator(mode="after")
    def _one_way_to_say_how_sparse(self) -> Row:
        if self.sparsity is not None and self.free_kept is not None:
            raise ValueError("give either sparsity or free_kept")
        return self


class Table(Model):
    """A table of one dataset: its rows, what they have in common, and what is claimed of them."""

    title: str
    dataset: Name
    network: Axis[Name]
    recipe: Axis[Name]
    seeds: Seeds
    note: str = Field("", description="printed under the table")
    rows: list[Row] = Field(min_length=1)
    claims: dict[Name, Claim] = Field(default_factory=dict)

    def seeds_of(self, row: int) -> list[int]:
        """Return the seeds of a row, by its number from 0: its own, or the table's."""
        return self.rows[row].seeds or self.seeds

    def seed_order(self, count: int) -> list[int]:
        """Order the seeds that claims may ask for: the table's own, then those after its largest; `count` in all.

        A table that leaves out the first seeds may do so because their results are known.
        """
        after = ((max(self.seeds) + further) % 2**32 for further in range(1, len(self.seeds) + count + 1))
        return [*self.seeds, *(seed for seed in after if seed not in self.seeds)][:count]


class LikeTable(Model):
    """The rows and claims of another table, with some names replaced: that table at a small budget, or one of its own."""

    like: Name = Field(description="the table whose rows and claims are repeated")
    budget: Literal["small", "own"] = Field(
        "small", description="small: it stands for the other table; own: it asks the same of other images or networks"
    )
    title: str | None = Field(None, description="if absent, the other table's, at a small budget or on other images")
    dataset: Name
    seeds: Seeds
    note: str = ""
    networks: dict[Name, Name] = Field(default_factory=dict, description="network of the other table: its replacement")
    recipes: dict[Name, Name] = Field(default_factory=dict, description="recipe of the other table: its replacement")
    searches: dict[Name, Name] = Field(
        default_factory=dict, description="search of the other table: its replacement, where a parameter counts steps or epochs"
    )

    def applied_to(self, table: Table) -> Table:
        """Return `table`, the one that this is like, with the names replaced."""
        rows = [
            row.model_copy(
                update=self._axes(row) | {"source": self._source(row.source)} | ({"seeds": self.seeds} if row.seeds else {})
            )
            for row in table.rows
        ]
        title = self.title or f"{table.title}, {'at a small budget' if self.budget == 'small' else f'on {self.dataset}'}"
        changes = {"title": title, "dataset": self.dataset, "note": self.note, "seeds": self.seeds, "rows": rows}
        return table.model_copy(update=self._axes(table) | changes)

    def replacements(self, table: Table) -> str:
        """List the names that are replaced in `table`, the one that this is like, as `new for old`."""
        names = {table.dataset: self.dataset} | self.networks | self.recipes | self.searches
        return ", ".join(f"{new} for {old}" for old, new in names.items() if new != old)

    def unknown_names(self, table: Table) -> Iterator[tuple[str, str, list[str]]]:
        """List the names that are to be replaced and that `table` does not have: each with its key, and those that it has."""
        tickets = [row.source.ticket for row in table.rows if row.source.ticket is not None]
        recipes = {ticket.recipe for ticket in tickets if ticket.recipe}
        known = {
            "networks": {*table.network, *(name for row in table.rows for name in row.network or [])},
            "recipes": {*table.recipe, *(name for row in table.rows for name in row.recipe or []), *recipes},
            "searches": {*(name for row in table.rows for name in row.search), *(ticket.search for ticket in tickets)},
        }
        for key, names in known.items():
            yield from ((key, name, sorted(names)) for name in getattr(self, key) if name not in names)

    def _axes(self, group: Table | Row) -> dict[str, Any]:
        """Return the networks, recipes and searches of a table or row, with their names replaced."""
        replacements = {"network": self.networks, "recipe": self.recipes, "search": self.searches}
        names = {axis: getattr(group, axis) for axis in replacements if getattr(group, axis, None) is not None}
        return {axis: [replacements[axis].get(name, name) for name in names[axis]] for axis in names}

    def _source(self, source: SourceGrid) -> SourceGrid:
        ticket = source.ticket
        if ticket is None:
            return source
        recipe = self.recipes.get(ticket.recipe, ticket.recipe) if ticket.recipe else None
        names = {"recipe": recipe, "search": self.searches.get(ticket.search, ticket.search)}
        return source.model_copy(update={"ticket": ticket.model_copy(update=names)})


def _kind(value: Any) -> str:
    like = "like" in value if isinstance(value, dict) else isinstance(value, LikeTable)
    return "LikeTable" if like else "Table"


AnyTable = Annotated[Annotated[Table, Tag("Table")] | Annotated[LikeTable, Tag("LikeTable")], Discriminator(_kind)]


class Params(Model):
    """The whole content of params.yaml."""

    machine: Machine = Field(default_factory=Machine)
    datasets: dict[Name, Dataset]
    networks: dict[Name, AnyNetwork]
    recipes: dict[Name, Recipe]
    searches: dict[Name, AnySearch]
    tables: dict[Name, AnyTable]
