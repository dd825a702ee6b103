"""Which settings a claim compares: those of one row with those of another."""

from __future__ import annotations

from collections.abc import Sequence

from slt_bench.common.text import grouped
from slt_bench.experiment.cell import Cell
from slt_bench.params.claims import Claim, Side
from slt_bench.params.tables import Table


def row_of(table: Table, side: Side) -> int:
    """The number of the row that a side of a claim names.

    Raises:
        KeyError: the table has no such row.
    """
    return {row.id: index for index, row in enumerate(table.rows) if row.id}[side.row]


def pairs(table: Table, claim: Claim, of: Sequence[Cell], over: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """Settings of the one row with those of the other: each with the only one that it agrees with.

    They must agree in everything in which those of the second row differ (or, if that pairs none, those of the first):
    dataset, network, recipe, freezing ratio, and sparsity; where both rows say what share of the free edges is kept, in
    that share in place of the sparsity.

    Args:
        table: the claim's.
        claim: what is compared.
        of, over: of each of its rows, a cell of each setting.
    """
    sides = (claim.of, claim.over)
    by_share = all(table.rows[row_of(table, side)].free_kept for side in sides)
    ours, theirs = (
        [(cell, _axes(cell, by_share)) for cell in cells if side.sparsity in (cell.sparsity, None)]
        for cells, side in zip((of, over), sides, strict=True)
    )
    return _agreeing(ours, theirs) or [(one, other) for other, one in _agreeing(theirs, ours)]


_Axes = tuple[str, str, str, float, float]


def _agreeing(ours: list[tuple[Cell, _Axes]], theirs: list[tuple[Cell, _Axes]]) -> list[tuple[Cell, Cell]]:
    differ = [axis for axis, values in enumerate(zip(*(axes for _, axes in theirs), strict=True)) if len(set(values)) > 1]
    alike = grouped(theirs, lambda each: tuple(each[1][axis] for axis in differ))
    found = []
    for cell, axes in ours:
        same = alike.get(tuple(axes[axis] for axis in differ), [])
        found += [(cell, same[0][0])] if len(same) == 1 else []
    return found


def _axes(cell: Cell, by_share: bool) -> _Axes:
    kept = cell.free_kept if by_share else cell.sparsity
    return cell.dataset_name, cell.network_name, cell.recipe_name, kept, round(cell.source.freezing_ratio, 9)
