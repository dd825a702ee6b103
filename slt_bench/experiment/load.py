"""Reading params.yaml: every mistake becomes one line that names the file, the line, the value and what is allowed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.text import did_you_mean
from slt_bench.common.yaml.reader import read_yaml
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.checks import Infeasible, Location
from slt_bench.experiment.claims import OF_A_LINE, claim_problems, misplaced
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.experiment.grid import expand_row
from slt_bench.experiment.mistakes import infeasible, invalid
from slt_bench.experiment.size import check_size
from slt_bench.params.tables import LikeTable, Params, Table


def load_experiments(path: Path = paths.PARAMS) -> Experiments:
    """Read, validate and expand params.yaml, the project's if no other; it is YAML 1.2, so that `1e-4` is a number.

    Raises:
        BenchError: the file has mistakes; all are listed, one a line.
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
        # A mistake in a name recurs in each row that uses the name: of equal ones in a table the first is enough.
        first = {(problem.location[:2], str(problem)): problem for problem in reversed(expansion.problems)}
        raise BenchError(infeasible(document, list(first.values())[::-1]))
    return Experiments(params, expansion.tables)


def schema() -> str:
    """Return the JSON schema of params.yaml, for editors."""
    return json.dumps(Params.model_json_schema(), indent=1) + "\n"


def _same_name(one: Cell, other: Cell) -> str:
    """Say that two cells, which are not the same, have one name."""
    where = "" if one.table == other.table else f", one of table {one.table}"
    return f"{one.id} would be the name of two cells that differ{where}: rename a search or recipe, or round what differs"


class _Expansion:
    """The expansion of all tables, and the mistakes found on the way."""

    def __init__(self, params: Params) -> None:
        self.params, self.problems, self.tables = params, list[Infeasible](), dict[str, Experiment]()
        for name, table in params.tables.items():
            if isinstance(table, Table):
                self.tables[name] = self._expand(name, table, repeated=False)
        for name, table in params.tables.items():
            if isinstance(table, LikeTable):
                self._expand_like(name, table)
        self._check_exploratory()
        self._check_names()
        self.tables = {name: self.tables[name] for name in params.tables if name in self.tables}

    def _expand_like(self, name: str, table: LikeTable) -> None:
        location, full = ("tables", name), self.params.tables.get(table.like)
        if not isinstance(full, Table):
            known = [other for other, value in self.params.tables.items() if isinstance(value, Table)]
            reason = "is itself like another one" if full else f"does not exist{did_you_mean(table.like, known)}"
            message = f"table '{table.like}' {reason} (there are: {', '.join(known)})"
            self.problems.append(Infeasible((*location, "like"), message))
            return
        for key, replaced, known in table.unknown_names(full):
            message = f"table {table.like} has no '{replaced}' among its {key}{did_you_mean(replaced, known)}"
            self.problems.append(Infeasible((*location, key, replaced), message))
        before = len(self.problems)
        experiment = self._expand(name, table.applied_to(full), repeated=True)
        if len(self.problems) == before:
            self._check_lines(experiment, self.tables[table.like], location)
        if table.budget == "small":
            experiment = replace(experiment, full_size=self.tables[table.like], replaced=table.replacements(full))
        self.tables[name] = experiment
        for problem in self.problems[before:]:  # its rows are written in the other table
            axis = problem.location[-1]
            problem.location = (*location, axis) if axis == "dataset" else location

    def _expand(self, name: str, table: Table, repeated: bool) -> Experiment:
        rows, cells, rows_by_id = list[list[Cell]](), dict[str, Cell](), dict[str, list[Cell]]()
        for index, row in enumerate(table.rows):
            location: Location = ("tables", name, "rows", index)
            if row.id in rows_by_id:
                self.problems.append(Infeasible((*location, "id"), f"'{row.id}' is the id of another row too"))
            try:
                expanded = expand_row(self.params, name, table, index)
            except Infeasible as problem:
                self.problems.append(problem)
                continue
            for cell in (cell for parent_and_cell in expanded for cell in parent_and_cell if cell is not None):
                if cells.setdefault(cell.id, cell).identity != cell.identity:
                    self.problems.append(Infeasible(location, _same_name(cells[cell.id], cell)))
            rows.append(list({cell.id: cell for _, cell in expanded}.values()))
            if row.id is not None:
                rows_by_id[row.id] = rows[-1]
            self.problems += misplaced(row.published, OF_A_LINE, rows[-1], (*location, "published"), repeated)
        if len(rows) == len(table.rows):
            for claim in table.claims:
                self.problems += claim_problems(table, claim, rows_by_id, ("tables", name, "claims", claim), repeated)
        self._check_precision(name, list(cells.values()))
        spare = self._spare(name, table) if len(rows) == len(table.rows) else []
        return Experiment(name, table, rows, list(cells.values()), spare=spare)

    def _check_lines(self, table: Experiment, full: Experiment, location: Location) -> None:
        """Refuse a table whose replaced names make two lines of the table that it is like one."""
        here, there = ({cell.setting for cell in each.cells} for each in (table, full))
        if len(here) < len(there):
            message = f"{len(there)} lines of table {full.name} become {len(here)}: two names have one replacement"
            self.problems.append(Infeasible(location, message))

    def _check_exploratory(self) -> None:
        """Refuse claims that are exploratory in a table that does not have them."""
        written = [(name, table) for name, table in self.params.tables.items() if isinstance(table, Table)]
        for name, table in written:
            for claim, content in table.claims.items():
                having = [each.name for each in self.tables.values() if each.table.claims.get(claim) == content]
                for other in content.exploratory_in or ():
                    if other not in having:
                        location: Location = ("tables", name, "claims", claim, "exploratory_in")
                        message = f"no table '{other}' has this claim{did_you_mean(other, having)}"
                        self.problems.append(Infeasible(location, message))

    def _check_names(self) -> None:
        """Refuse a table with a cell that has the name, but not the parameters, of another table's."""
        first = dict[str, Cell]()
        for table in self.tables.values():
            for cell in table.all_cells:
                other = first.setdefault(cell.id, cell)
                if other is not cell and other.identity != cell.identity:
                    self.problems.append(Infeasible(("tables", table.name), _same_name(other, cell)))
                    break

    def _check_precision(self, name: str, cells: list[Cell]) -> None:
        """Refuse a table whose cells compute with different numbers: what is compared would differ in that too."""
        recipes = {cell.recipe.precision: cell.recipe_name for cell in reversed(cells)}
        if len(recipes) > 1:
            different = ", ".join(f"{recipe} in {precision}" for precision, recipe in recipes.items())
            message = f"recipes of one table must compute in one precision, these do not: {different}"
            self.problems.append(Infeasible(("tables", name, "recipe"), message))

    def _spare(self, name: str, table: Table) -> list[list[Cell]]:
        """Expand the rows of claims that may be looked at more than once, to the seeds that the table does not have."""
        most, seeds = {row.id: 0 for row in table.rows}, len(table.seeds)
        for claim in table.claims.values():
            for side in (claim.of, claim.over):
                most[side.row] = max(most.get(side.row, 0), claim.most_seeds(seeds) - seeds)
        further = table.seed_order(seeds + max(most.values()))[seeds:]
        spare = []
        for index, row in enumerate(table.rows):
            own = further[: most[row.id]] if row.id and not row.seeds else []
            expanded = expand_row(self.params, name, table.model_copy(update={"seeds": own}), index) if own else []
            # A cell that takes its roles from another one's ticket would need that one's further seeds too.
            spare.append([cell for parent, cell in expanded if parent is None])
        return spare
