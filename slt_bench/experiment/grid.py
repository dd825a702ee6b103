"""The grid of cells that each row of a table spans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

from slt_bench.common.text import did_you_mean, grouped
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.checks import Infeasible, Location, check_fits, check_schedule, check_ticket, sparsity_of
from slt_bench.params.sources import Source, TicketOf
from slt_bench.params.tables import Params, Row, Table

_LONGEST = 200  # characters of an id, which names folders and files


def families(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Group cells that must run one after another: each with those that need its ticket."""
    return list(grouped(cells, lambda cell: cell.source.parent.id if cell.source.parent else cell.id).values())


def expand_row(params: Params, name: str, table: Table, index: int) -> list[tuple[Cell | None, Cell]]:
    """Expand one row of a table to its cells, seeds last; before each stands the cell that its source is made from, if any.

    Args:
        params: what the names in the row stand for.
        name, table: of the table.
        index: of the row, from 0.

    Raises:
        Infeasible: a name that does not exist, or numbers that do not go together.
    """
    return list(_cells_of_row(params, name, table, table.rows[index], ("tables", name, "rows", index)))


def _cells_of_row(params: Params, name: str, table: Table, row: Row, at: Location) -> Iterator[tuple[Cell | None, Cell]]:
    axes: dict[str, list[Any]] = {
        "table": [name],
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
            (p, lock), kept = chosen["ratios"], chosen["sparsity"]
            chosen["sparsity"] = round(1 - lock - (1 - p - lock) * kept, 12)
        asked = row.source.ticket if _takes_roles(chosen) else None
        parent = _parent(params, table, chosen, asked, at) if asked is not None else None
        yield parent, _cell(params, chosen, _source(row, chosen, parent, at), row, at)


def _cell(params: Params, chosen: dict[str, Any], source: Source, row: Row | None, at: Location) -> Cell:
    """One cell of the chosen names and numbers; `row` is where they were written, None for a cell that a ticket comes from."""
    look_up = _named(params, chosen, row, at)
    search = look_up("search", params.searches)
    cell = Cell(
        table=chosen["table"],
        dataset_name=chosen["dataset"],
        dataset=look_up("dataset", params.datasets),
        network_name=chosen["network"],
        network=look_up("network", params.networks),
        source=source,
        search_name=chosen["search"],
        search=search,
        recipe_name=chosen["recipe"],
        recipe=look_up("recipe", params.recipes),
        sparsity=sparsity_of(search, source, chosen["sparsity"], at),
        seed=chosen["seed"],
    )
    if len(cell.id) > _LONGEST:
        raise Infeasible(at, f"a cell of {len(cell.id)} characters, which is too long for the name of a folder: shorten the "
                             f"names that it is made of, {cell.id:.60}...")  # fmt: skip
    check_fits(chosen, cell.dataset, cell.network, at)
    check_schedule(chosen, cell.dataset, search, source, cell.recipe, cell.sparsity, at)
    return cell


def _takes_roles(chosen: dict[str, Any]) -> bool:
    return chosen["layout"] == "from_ticket" and sum(chosen["ratios"]) > 0


def _source(row: Row, chosen: dict[str, Any], parent: Cell | None, at: Location) -> Source:
    p, lock = chosen["ratios"]
    layout = chosen["layout"] if p + lock else None
    if parent is None or row.source.ticket is None:
        return Source(prune_ratio=p, lock_ratio=lock, layout=layout, lock_rule=row.source.lock_rule if lock else None)
    check_ticket(p, lock, parent.sparsity, (*at, "source"))
    given = parent.as_parent(own_seed=row.source.ticket.seed is not None)
    return Source(prune_ratio=p, lock_ratio=lock, layout=layout, parent=given, shuffled=row.source.ticket.shuffled)


def _parent(params: Params, table: Table, child: dict[str, Any], asked: TicketOf, at: Location) -> Cell:
    """The cell, in a dense source, whose ticket gives a source its roles."""
    place = (*at, "source", "ticket")
    search = params.searches.get(asked.search)
    if search is not None and search.kind == "weight-training":
        raise Infeasible((*place, "search"), f"'{asked.search}' is weight training, which finds no ticket")
    own = {
        "recipe": asked.recipe or table.recipe[0], "search": asked.search, "sparsity": asked.sparsity,
        "seed": child["seed"] if asked.seed is None else asked.seed,
    }  # fmt: skip
    return _cell(params, child | own, Source(), None, place)


def _named(params: Params, chosen: dict[str, Any], row: Row | None, at: Location) -> Callable[[str, dict[str, Any]], Any]:
    def look_up(axis: str, entries: dict[str, Any]) -> Any:
        name = chosen[axis]
        if name not in entries:
            place = (*at, axis) if row is None or getattr(row, axis, None) else (*at[:2], axis)
            known = ", ".join(entries)
            raise Infeasible(place, f"'{name}' is not declared{did_you_mean(name, entries)} (there are: {known})")
        return entries[name]

    return look_up
