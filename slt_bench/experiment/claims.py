"""The settings that a claim compares, and the mistakes that keep it from being tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slt_bench.common.text import did_you_mean, grouped
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.checks import Infeasible, Location
from slt_bench.experiment.published import measured_on, published_values
from slt_bench.params.claims import Claim, Side
from slt_bench.params.tables import Table

OF_A_LINE = ("top1", "dying-edge ratio")  # quantities of published values that stand beside a line
_OF_A_DIFFERENCE = {"top1": ["gain"], "dying_edge_ratio": ["dying-edge rise"]}  # those of a claim, by its metric
_OF_A_RATIO = {"bytes": ["size ratio"], "coded_bytes": ["size ratio"], "mask_packed_bytes": ["size ratio"]}
_Axes = tuple[str, str, float, float]  # network, recipe, sparsity or kept share of the free edges, freezing ratio


def row_of(table: Table, side: Side) -> int:
    """Return the number, from 0, of the row that a side of a claim names.

    Raises:
        KeyError: the table has no such row.
    """
    return {row.id: index for index, row in enumerate(table.rows) if row.id}[side.row]


def pairs(table: Table, claim: Claim, of: Sequence[Cell], over: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """Pair the settings of a claim's two rows: each with the only one of the other row that it agrees with.

    They must agree in everything in which those of the second row differ (or, if that pairs none, those of the first):
    network, recipe, freezing ratio, and sparsity; where both rows say what share of the free edges is kept, in
    that share in place of the sparsity.

    Args:
        table: the claim's.
        claim: names both rows, and the sparsity and freezing ratio of each side if not all are compared.
        of: a cell of each setting of the first row.
        over: a cell of each setting of the second row.

    Returns:
        A cell of the first row and one of the second for each pair.
    """
    sides = (claim.of, claim.over)
    by_share = all(table.rows[row_of(table, side)].free_kept for side in sides)
    first, second = (
        [(cell, _axes(cell, by_share)) for cell in cells if side.has(cell.sparsity, cell.source.freezing_ratio)]
        for cells, side in zip((of, over), sides, strict=True)
    )
    return _agreeing(first, second) or [(one, other) for other, one in _agreeing(second, first)]


def _agreeing(first: list[tuple[Cell, _Axes]], second: list[tuple[Cell, _Axes]]) -> list[tuple[Cell, Cell]]:
    """Pair each cell of `first` with the only one of `second` that is equal in all axes in which those of `second` differ."""
    axes_of_second = [axes for _, axes in second]
    differing = [axis for axis, values in enumerate(zip(*axes_of_second, strict=True)) if len(set(values)) > 1]
    by_values = grouped(second, lambda entry: tuple(entry[1][axis] for axis in differing))
    paired = []
    for cell, axes in first:
        equal = by_values.get(tuple(axes[axis] for axis in differing), [])
        if len(equal) == 1:
            paired.append((cell, equal[0][0]))
    return paired


def _axes(cell: Cell, by_share: bool) -> _Axes:
    kept = cell.free_kept if by_share else cell.sparsity
    return cell.network_name, cell.recipe_name, kept, round(cell.source.freezing_ratio, 9)


def misplaced(
    names: list[str] | None, quantities: Sequence[str], cells: list[Cell], location: Location, repeated: bool
) -> Iterator[Infeasible]:
    """Find published values that may not stand beside any of a row's cells.

    A value may stand beside cells of its dataset, network and sparsity. In a table that repeats another one it stands beside
    those that take their place, and only its name and quantity are checked.

    Args:
        names: ids of the published values; None for none.
        quantities: that may stand there.
        cells: the row's.
        location: of the names, in params.yaml.
        repeated: whether the table has the rows of another one.

    Yields:
        The mistakes.
    """
    known = published_values()
    for name in names or []:
        if name not in known:
            yield Infeasible(location, f"'{name}' is not a known value{did_you_mean(name, known)}")
        elif known[name].quantity not in quantities:
            allowed = " or ".join(quantities) or "nothing published"
            yield Infeasible(location, f"'{name}' is a {known[name].quantity}, here stands {allowed}")
        elif not repeated and not any(known[name].fits_cell(cell) for cell in cells):
            value = known[name]
            kinds = {measured_on(cell) for cell in cells}
            sparsity = f" at {value.sparsity:g}" if value.sparsity is not None else ""
            measured = f"{value.network or 'a network'} on {value.dataset}{sparsity}"
            yield Infeasible(location, f"'{name}' is of {measured}, this row is of {', '.join(sorted(kinds))}")


def claim_problems(
    table: Table, name: str, rows: dict[str, list[Cell]], location: Location, repeated: bool
) -> Iterator[Infeasible]:
    """Find the mistakes in a claim: rows, sparsities and pairs that do not exist, published values of something else.

    Args:
        table: the claim's.
        name: the claim's.
        rows: the cells of each row, by its id.
        location: of the claim, in params.yaml.
        repeated: whether the table has the rows of another one.

    Yields:
        The mistakes.
    """
    claim = table.claims[name]
    mistakes = list(_side_problems(table, claim, rows, location))
    yield from mistakes
    if claim.of.row in rows:
        quantities = (_OF_A_RATIO if claim.compare == "ratio" else _OF_A_DIFFERENCE).get(claim.metric, [])
        yield from misplaced(claim.published, quantities, rows[claim.of.row], (*location, "published"), repeated)
    if mistakes:
        return
    sides = (claim.of, claim.over)
    settings = [list({cell.setting: cell for cell in rows[side.row]}.values()) for side in sides]
    compared = pairs(table, claim, *settings)
    if not compared:
        axes = "network, recipe, freezing ratio and sparsity (or free_kept, where both rows give it)"
        yield Infeasible(location, f"no cell of row {claim.of.row} agrees with just one of row {claim.over.row} in {axes}")
    for one, other in compared:
        if reason := _why_undecidable(claim, one, other):
            yield Infeasible(location, reason)
    seeds = [set(table.seeds_of(row_of(table, side))) for side in sides]
    if not seeds[0] & seeds[1]:
        yield Infeasible(location, f"rows {claim.of.row} and {claim.over.row} have no seed in common, by which they are paired")
    if claim.metric == "top1":
        yield from _unequal_training_images(compared, location)


def _side_problems(table: Table, claim: Claim, rows: dict[str, list[Cell]], location: Location) -> Iterator[Infeasible]:
    for key, side in (("of", claim.of), ("over", claim.over)):
        if side.row not in rows:
            ids = [row.id for row in table.rows if row.id]
            yield Infeasible((*location, key, "row"), f"there is no row '{side.row}'{did_you_mean(side.row, ids)}")
        elif not any(side.has(cell.sparsity, cell.source.freezing_ratio) for cell in rows[side.row]):
            wanted = {"sparsity": side.sparsity, "freezing_ratio": side.freezing_ratio}
            said = {field: value for field, value in wanted.items() if value is not None}
            what = " at ".join(f"{field.replace('_', ' ')} {value:g}" for field, value in said.items())
            yield Infeasible((*location, key, next(iter(said))), f"row {side.row} has no {what}")


def _why_undecidable(claim: Claim, one: Cell, other: Cell) -> str:
    """Say why no result can decide between two settings; empty if some can."""
    if one.setting == other.setting:
        return f"row {claim.of.row} is compared with itself at {one.setting}: name another row, sparsity or freezing ratio"
    trained = next((cell for cell in (one, other) if cell.search.learns == "weights"), None)
    if trained is None and one.sparsity != other.sparsity and not _says_so(claim, one, other):
        rows = f"row {claim.of.row} at {one.sparsity:g} with row {claim.over.row} at {other.sparsity:g}"
        return f"it would compare {rows}: where that is meant, say the sparsity of one of them"
    if trained is not None and claim.metric in ("mask_packed_bytes", "dying_edge_ratio"):
        return f"{claim.metric} is of masks, and says nothing of weight training, in {trained.setting}"
    return ""


def _says_so(claim: Claim, one: Cell, other: Cell) -> bool:
    """Whether a claim compares two sparsities knowingly: it names one, or its rows keep equal shares of their free edges."""
    named = claim.of.sparsity is not None or claim.over.sparsity is not None
    return named or one.free_kept == other.free_kept


def _unequal_training_images(compared: list[tuple[Cell, Cell]], location: Location) -> Iterator[Infeasible]:
    recipes = {one.recipe_name: other.recipe_name for one, other in compared if one.recipe.train_on != other.recipe.train_on}
    for one, other in recipes.items():
        yield Infeasible(location, f"recipes {one} and {other} do not train on as many images: give both the same train_on")
