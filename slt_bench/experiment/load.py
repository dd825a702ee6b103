"""Read params.yaml; every mistake in it becomes one line that names path, line, value and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from slt_bench.common.errors import BenchError
from slt_bench.common.text import did_you_mean
from slt_bench.common.yaml.reader import read_yaml
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.checks import Infeasible, Location
from slt_bench.experiment.claims import claim_problems, misplaced
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.experiment.grid import expand_row
from slt_bench.experiment.mistakes import infeasible, invalid
from slt_bench.experiment.size import check_size
from slt_bench.params.tables import Params, SmallTable, Table


def load_experiments(path: Path) -> Experiments:
    """Read, validate and expand params.yaml; it is YAML 1.2, so that `1e-4` is a number.

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
    expansion = _Expansion(params)
    if expansion.problems:
        unlike = list({(each.location[:2], str(each)): each for each in reversed(expansion.problems)}.values())[::-1]
        raise BenchError(infeasible(document, unlike))
    return Experiments(params, expansion.tables)


def schema() -> str:
    """JSON schema of params.yaml, for editors."""
    return json.dumps(Params.model_json_schema(), indent=1) + "\n"


class _Expansion:
    """All tables, and all that keeps them from being put into practice."""

    def __init__(self, params: Params) -> None:
        self.params, self.problems, self.tables = params, list[Infeasible](), dict[str, Experiment]()
        for name, table in params.tables.items():
            if isinstance(table, Table):
                self.tables[name] = self._expand(name, table, None)
        for name, table in params.tables.items():
            if isinstance(table, SmallTable):
                self._expand_small(name, table)
        self.tables = {name: self.tables[name] for name in params.tables if name in self.tables}

    def _expand_small(self, name: str, small: SmallTable) -> None:
        place, full = ("tables", name), self.params.tables.get(small.like)
        if not isinstance(full, Table):
            whole = [other for other, table in self.params.tables.items() if isinstance(table, Table)]
            why = "is itself like another one" if full else "does not exist"
            hint = "" if full else did_you_mean(small.like, whole)
            self.problems.append(
                Infeasible((*place, "like"), f"table '{small.like}' {why}{hint} (there are: {', '.join(whole)})")
            )
            return
        before = len(self.problems)
        made = self._expand(name, small.made_of(full), small)
        self.tables[name] = made
        for problem in self.problems[before:]:  # its rows are written elsewhere
            axis = problem.location[-1]
            problem.location = (*place, axis) if axis == "dataset" else place

    def _expand(self, name: str, table: Table, small: SmallTable | None) -> Experiment:
        rows, cells, ids = list[list[Cell]](), dict[str, Cell](), dict[str, list[Cell]]()
        for index, row in enumerate(table.rows):
            place: Location = ("tables", name, "rows", index)
            if row.id in ids:
                self.problems.append(Infeasible((*place, "id"), f"'{row.id}' is the id of another row too"))
            try:
                expanded = expand_row(self.params, name, table, index)
            except Infeasible as problem:
                self.problems.append(problem)
                continue
            for cell in (each for pair in expanded for each in pair if each is not None):
                cells.setdefault(cell.id, cell)
            rows.append(list({cell.id: cell for _, cell in expanded}.values()))
            ids[row.id or str(index)] = rows[-1]
            self.problems += misplaced(row.published, rows[-1], (*place, "published"), small is not None)
        if len(ids) == len(table.rows):
            for claim in table.claims:
                self.problems += claim_problems(table, claim, ids, ("tables", name, "claims", claim), small is not None)
        full_size = self.tables[small.like] if small else None
        like = self.params.tables[small.like] if small else None
        replaced = small.replaced(like) if small and isinstance(like, Table) else ""
        return Experiment(name, table, rows, list(cells.values()), full_size, replaced)
