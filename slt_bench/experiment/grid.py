"""Tables to cells: the grid that each row spans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

from slt_bench.common.errors import BenchError
from slt_bench.common.text import did_you_mean, grouped
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.checks import Infeasible, Location, check_fits, check_schedule, check_ticket, sparsity_of
from slt_bench.params.sources import Source, TicketOf
from slt_bench.params.tables import Params, Row, Table

_LONGEST = 200  # characters of an id, which names folders and files


def expand_row(params: Params, table_name: str, index: int) -> list[Cell]:
    """The cells of one row, each once, seeds last.

    Raises:
        Infeasible: a name that does not exist, or numbers that do not go together.
    """
    table = params.tables[table_name]
    pairs = _cells_of_row(params, table, table.rows[index], ("tables", table_name, "rows", index))
    return list({cell.id: cell for _, cell in pairs}.values())


def expand(params: Params, table_name: str) -> list[Cell]:
    """The cells that a table needs, each once, in the order of its rows; one whose ticket another needs comes before it."""
    table, found = params.tables[table_name], dict[str, Cell]()
    for index, row in enumerate(table.rows):
        for parent, cell in _cells_of_row(params, table, row, ("tables", table_name, "rows", index)):
            found |= {each.id: each for each in (parent, cell) if each is not None and each.id not in found}
    return list(found.values())


def cells_of(params: Params, tables: Iterable[str]) -> dict[str, Cell]:
    """The cells that tables need, by id; one that several need is there once."""
    return {cell.id: cell for table in tables for cell in expand(params, table)}


def find(params: Params, cell_id: str) -> Cell:
    """The cell of that id, in any table."""
    cells = cells_of(params, params.tables)
    if cell_id not in cells:
        raise BenchError(
            f"there is no cell '{cell_id}'{did_you_mean(cell_id, [*cells, *params.tables])}; `slt-bench plan` lists them"
        )
    return cells[cell_id]


def families(cells: list[Cell]) -> list[list[Cell]]:
    """Cells that must run one after another: each with those that need its ticket."""
    return list(grouped(cells, lambda cell: cell.source.ticket or cell.id).values())


def _cells_of_row(params: Params, table: Table, row: Row, at: Location) -> Iterator[tuple[Cell | None, Cell]]:
    """Each cell, and before it the one whose ticket its source is made from, if any."""
    axes: dict[str, list[Any]] = {
        "dataset": row.dataset or table.dataset,
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
    return Source(
        prune_ratio=p, lock_ratio=lock, layout=layout, ticket=parent.id, ticket_identity=parent.identity,
        ticket_seed=row.source.ticket.seed, shuffled=row.source.ticket.shuffled,
    )  # fmt: skip


def _parent(params: Params, table: Table, heir: dict[str, Any], asked: TicketOf, at: Location) -> Cell:
    """The cell, in a dense source, whose ticket gives a source its roles."""
    place = (*at, "source", "ticket")
    search = params.searches.get(asked.search)
    if search is not None and search.kind == "weight-training":
        raise Infeasible((*place, "search"), f"'{asked.search}' is weight training, which finds no ticket")
    own = {
        "recipe": asked.recipe or table.recipe[0], "search": asked.search, "sparsity": asked.sparsity,
        "seed": heir["seed"] if asked.seed is None else asked.seed,
    }  # fmt: skip
    return _cell(params, heir | own, Source(), None, place)


def _named(params: Params, chosen: dict[str, Any], row: Row | None, at: Location) -> Callable[[str, dict[str, Any]], Any]:
    def look_up(axis: str, entries: dict[str, Any]) -> Any:
        name = chosen[axis]
        if name not in entries:
            place = (*at, axis) if row is None or getattr(row, axis) else (*at[:2], axis)
            known = ", ".join(entries)
            raise Infeasible(place, f"'{name}' is not declared{did_you_mean(name, entries)} (there are: {known})")
        return entries[name]

    return look_up
