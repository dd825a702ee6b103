"""The grid of cells that each row of a table spans: here a table becomes cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from slt_bench.common.text import did_you_mean, grouped
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.checks import Infeasible, Location, check_cell, check_ticket, sparsity_of
from slt_bench.params.sources import Source, TicketOf
from slt_bench.params.tables import Params, Row, Table

_LONGEST = 200  # characters of an id, which names folders and files


def families(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Group cells that must run one after another: a parent with its children, which need its ticket."""
    return list(grouped(cells, lambda cell: cell.source.parent.id if cell.source.parent else cell.id).values())


def expand_row(params: Params, table_name: str, table: Table, index: int) -> list[tuple[Cell | None, Cell]]:
    """Expand a row of a table to its cells, seeds last, each with its parent.

    Args:
        params: the datasets, networks, recipes and searches that the row names.
        table_name: the table's.
        table: the table.
        index: of the row, from 0.

    Returns:
        Parent and cell; None for a cell without a parent.

    Raises:
        Infeasible: a name that does not exist, or numbers that do not go together.
    """
    return list(_Row(params, table_name, table, index).cells())


@dataclass(frozen=True)
class _Row:
    """A row of a table while it is expanded."""

    params: Params
    table_name: str
    table: Table
    index: int

    @property
    def row(self) -> Row:
        return self.table.rows[self.index]

    @property
    def location(self) -> Location:
        return ("tables", self.table_name, "rows", self.index)

    def cells(self) -> Iterator[tuple[Cell | None, Cell]]:
        row, table = self.row, self.table
        axes: dict[str, list[Any]] = {
            "dataset": [table.dataset],
            "network": row.network or table.network,
            "recipe": row.recipe or table.recipe,
            "search": row.search,
            "ratios": row.source.ratios,
            "layout": row.source.layout or [None],
            "sparsity": row.sparsity or row.free_kept or [None],
            "seed": row.seeds or table.seeds,
        }
        for values in product(*axes.values()):
            chosen = dict(zip(axes, values, strict=True))
            if row.free_kept:
                (p, lock), free_kept = chosen["ratios"], chosen["sparsity"]
                chosen["sparsity"] = round(1 - lock - (1 - p - lock) * free_kept, 12)
            takes_roles = chosen["layout"] == "from_ticket" and sum(chosen["ratios"]) > 0
            parent = self._parent(row.source.ticket, chosen) if row.source.ticket and takes_roles else None
            yield parent, self._cell(chosen, self._source(chosen, parent), self.location)

    def _cell(self, chosen: dict[str, Any], source: Source, location: Location) -> Cell:
        """Make the cell of the chosen names and numbers; `location` is where params.yaml has them."""
        search = self._look_up("search", self.params.searches, chosen, location)
        cell = Cell(
            table=self.table_name,
            dataset_name=chosen["dataset"],
            dataset=self._look_up("dataset", self.params.datasets, chosen, location),
            network_name=chosen["network"],
            network=self._look_up("network", self.params.networks, chosen, location),
            source=source,
            search_name=chosen["search"],
            search=search,
            recipe_name=chosen["recipe"],
            recipe=self._look_up("recipe", self.params.recipes, chosen, location),
            sparsity=sparsity_of(search, source, chosen["sparsity"], location),
            seed=chosen["seed"],
        )
        if len(cell.id) > _LONGEST:
            raise Infeasible(
                location,
                f"a cell of {len(cell.id)} characters, which is too long for the name of a folder: shorten the "
                f"names that it is made of, {cell.id:.60}...",
            )
        check_cell(cell, location)
        return cell

    def _source(self, chosen: dict[str, Any], parent: Cell | None) -> Source:
        (p, lock), ticket = chosen["ratios"], self.row.source.ticket
        layout = chosen["layout"] if p + lock else None
        if parent is None or ticket is None:
            return Source(prune_ratio=p, lock_ratio=lock, layout=layout, lock_rule=self.row.source.lock_rule if lock else None)
        source = Source(
            prune_ratio=p, lock_ratio=lock, layout=layout,
            parent=parent.as_parent(own_seed=ticket.seed is not None), shuffled=ticket.shuffled,
        )  # fmt: skip
        check_ticket(source, parent.sparsity, self.location)
        return source

    def _parent(self, ticket: TicketOf, child: dict[str, Any]) -> Cell:
        """Make the parent: the cell, in a dense source, whose ticket provides the roles of the child's source."""
        location = (*self.location, "source", "ticket")
        search = self.params.searches.get(ticket.search)
        if search is not None and search.learns == "weights":
            raise Infeasible((*location, "search"), f"'{ticket.search}' trains weights and finds no mask")
        changes = {
            "recipe": ticket.recipe or self.table.recipe[0], "search": ticket.search, "sparsity": ticket.sparsity,
            "seed": child["seed"] if ticket.seed is None else ticket.seed,
        }  # fmt: skip
        return self._cell(child | changes, Source(), location)

    def _look_up(self, axis: str, entries: dict[str, Any], chosen: dict[str, Any], location: Location) -> Any:
        """Look up the chosen name of an axis; a mistake is located in the row, or in the table where the row leaves it out."""
        name = chosen[axis]
        if name not in entries:
            from_table = location == self.location and not getattr(self.row, axis, None)
            at = (*location[:2], axis) if from_table else (*location, axis)
            known = ", ".join(entries)
            raise Infeasible(at, f"'{name}' is not declared{did_you_mean(name, entries)} (there are: {known})")
        return entries[name]
