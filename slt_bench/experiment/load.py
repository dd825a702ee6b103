"""Read params.yaml; every mistake in it becomes one line that names path, line, value and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from slt_bench.common.errors import BenchError
from slt_bench.common.text import did_you_mean
from slt_bench.common.yaml.reader import read_yaml
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.checks import Infeasible, Location
from slt_bench.experiment.grid import expand_row
from slt_bench.experiment.mistakes import infeasible, invalid
from slt_bench.experiment.pairs import pairs
from slt_bench.experiment.published import published_values
from slt_bench.experiment.size import check_size
from slt_bench.params.claims import Side
from slt_bench.params.tables import Params, Table


def load_params(path: Path) -> Params:
    """Parse, validate and expand; YAML 1.2, so that `1e-4` is a number.

    Raises:
        BenchError: listing all mistakes, one a line.
    """
    document = read_yaml(path)
    if document.value is None:
        raise BenchError(f"{path} is empty")
    try:
        check_size(document.value)
        params = Params.model_validate(document.value)
    except ValidationError as error:
        raise BenchError(invalid(document, error)) from error
    except Infeasible as problem:
        raise BenchError(infeasible(document, [problem])) from problem
    problems = list(_infeasible(params))
    if problems:
        raise BenchError(infeasible(document, problems))
    return params


def schema() -> str:
    """JSON schema of params.yaml, for editors."""
    return json.dumps(Params.model_json_schema(), indent=1) + "\n"


def _infeasible(params: Params) -> list[Infeasible]:
    problems: list[Infeasible] = []
    for name, table in params.tables.items():
        rows: dict[str, list[Cell]] = {}
        for index, row in enumerate(table.rows):
            place: Location = ("tables", name, "rows", index)
            if row.id in rows:
                problems.append(Infeasible((*place, "id"), f"'{row.id}' is the id of another row too"))
            try:
                rows[row.id or str(index)] = expand_row(params, name, index)
                problems += _misplaced(row.published, rows[row.id or str(index)], (*place, "published"), table)
            except Infeasible as problem:
                problems.append(problem)
        if len(rows) == len(table.rows):
            problems += [
                problem
                for claim in table.claims
                for problem in _claim_problems(table, claim, rows, ("tables", name, "claims", claim))
            ]
    for each in problems:  # in a table that `small` makes, the mistake is there
        if params.tables[str(each.location[1])].reduced is not None:
            each.location = ("small", str(each.location[1]).removesuffix("-small"))
    return list({(problem.location[:2], str(problem)): problem for problem in reversed(problems)}.values())[::-1]


def _misplaced(names: list[str] | None, cells: list[Cell], place: Location, table: Table) -> Iterator[Infeasible]:
    """A published value may stand only beside cells of its dataset, network and sparsity, and in small tables beside theirs."""
    known = published_values()
    for name in names or []:
        if name not in known:
            yield Infeasible(place, f"'{name}' is not a known value{did_you_mean(name, known)}")
        elif table.reduced is None and not any(known[name].fits_cell(cell) for cell in cells):
            value = known[name]
            kinds = {f"{cell.network.kind} on {cell.dataset.images.source} at {cell.sparsity:g}" for cell in cells}
            what = f"{value.network or 'a network'} on {value.dataset}"
            what += f" at {value.sparsity:g}" if value.sparsity is not None else ""
            yield Infeasible(place, f"'{name}' is of {what}, this row is of {', '.join(sorted(kinds))}")


def _claim_problems(table: Table, name: str, rows: dict[str, list[Cell]], place: Location) -> Iterator[Infeasible]:
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
        yield from _misplaced(claim.published, rows[claim.of.row], (*place, "published"), table)
    settings = [list({cell.setting: cell for cell in rows[side.row]}.values()) for side in found]
    compared = pairs(table, claim, *settings) if len(found) == 2 else []
    if len(found) == 2 and not compared:
        what = "dataset, network, recipe, freezing ratio and sparsity (or free_kept, where both rows give it)"
        yield Infeasible(place, f"no cell of row {claim.of.row} agrees with just one of row {claim.over.row} in {what}")
    unequal = {one.recipe_name: other.recipe_name for one, other in compared if one.recipe.train_on != other.recipe.train_on}
    for one, other in unequal.items() if claim.metric == "top1" else ():
        yield Infeasible(place, f"recipes {one} and {other} do not train on as many images: give both the same train_on")
