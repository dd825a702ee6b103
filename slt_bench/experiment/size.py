"""The number of cells that params.yaml asks for, counted before they are made: one list too long must not take hours."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from slt_bench.experiment.checks import Infeasible, Location

MOST_CELLS = 20_000


def check_size(value: Any) -> None:
    """Refuse tables that span more cells than anyone can run; `value` is the content of the file, valid or not.

    Raises:
        Infeasible: there are too many; it names the first row beyond the limit.
    """
    total = 0
    for location, cells in _rows(value):
        total += cells
        if total > MOST_CELLS:
            raise Infeasible(
                location,
                f"with this row's grid of {cells:,} the tables have {total:,} cells, {MOST_CELLS:,} are the most: "
                "shorten its lists",
            )


def _rows(value: Any) -> Iterator[tuple[Location, int]]:
    """Yield the location and the number of cells of each row; a table like another one has its rows."""
    tables = _get(value, "tables")
    for name, table in tables.items() if isinstance(tables, dict) else ():
        like = _get(table, "like")
        full = table if like is None else _get(tables, like) if isinstance(like, str) else None
        rows = _get(full, "rows")
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            small = {"seeds": _get(table, "seeds")} if like is not None else {}
            location: Location = ("tables", name) if like is not None else ("tables", name, "rows", index)
            yield location, _grid(full, row, _get(row, "source"), small)


def _grid(*groups: Any) -> int:
    """Multiply the lengths of all lists that span a row's grid; a later group overrides an earlier one."""
    axes: dict[str, Any] = {}
    for group in groups:
        if isinstance(group, dict):
            axes |= {key: value for key, value in group.items() if value is not None}
    return prod(max(1, len(axis)) for key, axis in axes.items() if isinstance(axis, list) and key not in ("rows", "published"))


def _get(group: Any, key: str) -> Any:
    return group.get(key) if isinstance(group, dict) else None
