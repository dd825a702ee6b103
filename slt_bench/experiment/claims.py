"""Which settings a claim compares, and what keeps it from being tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slt_bench.common.text import did_you_mean, grouped
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.checks import Infeasible, Location
from slt_bench.experiment.published import published_values
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
    network, recipe, freezing ratio, and sparsity; where both rows say what share of the free edges is kept, in
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


_Axes = tuple[str, str, float, float]


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
    return cell.network_name, cell.recipe_name, kept, round(cell.source.freezing_ratio, 9)


def misplaced(names: list[str] | None, cells: list[Cell], place: Location, small: bool) -> Iterator[Infeasible]:
    """A published value may stand only beside cells of its dataset, network and sparsity, and in small tables beside theirs."""
    known = published_values()
    for name in names or []:
        if name not in known:
            yield Infeasible(place, f"'{name}' is not a known value{did_you_mean(name, known)}")
        elif not small and not any(known[name].fits_cell(cell) for cell in cells):
            value = known[name]
            kinds = {f"{cell.network.kind} on {cell.dataset.images.source} at {cell.sparsity:g}" for cell in cells}
            what = f"{value.network or 'a network'} on {value.dataset}"
            what += f" at {value.sparsity:g}" if value.sparsity is not None else ""
            yield Infeasible(place, f"'{name}' is of {what}, this row is of {', '.join(sorted(kinds))}")


def claim_problems(table: Table, name: str, rows: dict[str, list[Cell]], place: Location, small: bool) -> Iterator[Infeasible]:
    """Find what keeps a claim from being tested: rows, sparsities and pairs that do not exist, published values of others."""
    claim, found = table.claims[name], list[Side]()
    for side, chosen in (("of", claim.of), ("over", claim.over)):
        if chosen.row not in rows:
            ids = [row.id for row in table.rows if row.id]
            yield Infeasible((*place, side, "row"), f"there is no row '{chosen.row}'{did_you_mean(chosen.row, ids)}")
        elif chosen.sparsity is not None and all(cell.sparsity != chosen.sparsity for cell in rows[chosen.row]):
            yield Infeasible((*place, side, "sparsity"), f"row {chosen.row} has no sparsity {chosen.sparsity:g}")
        else:
            found.append(chosen)
    if claim.of.row in rows:
        yield from misplaced(claim.published, rows[claim.of.row], (*place, "published"), small)
    settings = [list({cell.setting: cell for cell in rows[side.row]}.values()) for side in found]
    compared = pairs(table, claim, *settings) if len(found) == 2 else []
    if len(found) == 2 and not compared:
        what = "network, recipe, freezing ratio and sparsity (or free_kept, where both rows give it)"
        yield Infeasible(place, f"no cell of row {claim.of.row} agrees with just one of row {claim.over.row} in {what}")
    unequal = {one.recipe_name: other.recipe_name for one, other in compared if one.recipe.train_on != other.recipe.train_on}
    for one, other in unequal.items() if claim.metric == "top1" else ():
        yield Infeasible(place, f"recipes {one} and {other} do not train on as many images: give both the same train_on")
