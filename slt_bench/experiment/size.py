"""How many cells params.yaml asks for, counted before anything is made of them: one list too long must not take hours."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from slt_bench.experiment.checks import Infeasible, Location

CELLS = 20_000


def check_size(value: Any) -> None:
    """Refuse tables that span more cells than anyone can run; `value` is what the file says, valid or not.

    Raises:
        Infeasible: with the row that goes beyond.
    """
    total = 0
    for place, cells in _rows(value):
        total += cells
        if total > CELLS:
            raise Infeasible(place, f"with this row's grid of {cells:,} the tables have {total:,} cells, "
                                    f"{CELLS:,} are the most: shorten its lists")  # fmt: skip


def _rows(value: Any) -> Iterator[tuple[Location, int]]:
    tables = _get(value, "tables")
    for name, table in tables.items() if isinstance(tables, dict) else ():
        like = _get(table, "like")
        whole = table if like is None else _get(tables, like) if isinstance(like, str) else None
        rows = _get(whole, "rows")
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            small = {"seeds": _get(table, "seeds")} if like is not None else {}
            place: Location = ("tables", name) if like is not None else ("tables", name, "rows", index)
            yield place, _grid(whole, row, _get(row, "source"), small)


def _grid(*groups: Any) -> int:
    """The product of the lengths of all lists that span a row's grid; later groups go before earlier ones."""
    axes: dict[str, Any] = {}
    for group in groups:
        if isinstance(group, dict):
            axes |= {key: value for key, value in group.items() if value is not None}
    return prod(max(1, len(axis)) for key, axis in axes.items() if isinstance(axis, list) and key not in ("rows", "published"))


def _get(group: Any, key: str) -> Any:
    return group.get(key) if isinstance(group, dict) else None
