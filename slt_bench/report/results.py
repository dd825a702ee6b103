"""The results of a table as one value, read once: everything that is written of a table is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slt_bench.common import paths
from slt_bench.experiment.experiments import Experiment
from slt_bench.records.begun import begun
from slt_bench.records.result import Result, read_outcomes
from slt_bench.report.lines import Line, Outcomes, table_lines
from slt_bench.report.notes import table_notes, table_warnings
from slt_bench.report.verdicts.claims import ClaimResult, test_claims


@dataclass(frozen=True)
class TableResults:
    """A table with its results, and all that a reader must know of them."""

    experiment: Experiment
    outcomes: Outcomes  # of every cell that the table needs, in the order of the experiment's cells
    lines: list[Line]
    claims: list[ClaimResult]
    warnings: list[str]  # to stand above the table
    notes: list[str]  # to stand below it

    @property
    def name(self) -> str:
        """The table's name in params.yaml."""
        return self.experiment.name

    @property
    def title(self) -> str:
        """The table's title."""
        return self.experiment.table.title

    @property
    def directory(self) -> Path:
        """The directory of the table's report."""
        return paths.table_dir(self.name)

    @property
    def is_comparable(self) -> bool:
        """Whether differences to published values mean anything, as they do not at a small budget."""
        return self.experiment.full_size is None

    @property
    def small_budget(self) -> str | None:
        """The names that replace those of the full-size table in a table at a small budget; None for other tables."""
        return None if self.is_comparable else self.experiment.replaced or "other seeds"

    @property
    def lines_with_results(self) -> list[Line]:
        """The lines that have a result."""
        return [line for line in self.lines if line.results]

    @property
    def results(self) -> list[Result]:
        """The result of every cell that has one; those of the parents that no row shows are among them."""
        return [outcome for outcome in self.outcomes.values() if isinstance(outcome, Result)]


def table_results(experiment: Experiment) -> TableResults:
    """Read the results of a table's cells and test its claims on them; of more seeds, those whose cells came to an end."""
    read = read_outcomes(begun(experiment).cells)
    ended = {name for name, outcome in read.items() if isinstance(outcome, Result) or outcome.kind == "diverged"}
    experiment = experiment.with_more(cell for cell in experiment.spare_cells if cell.id in ended)
    outcomes = {cell.id: read[cell.id] for cell in experiment.cells}
    lines = table_lines(experiment, outcomes)
    return TableResults(
        experiment=experiment,
        outcomes=outcomes,
        lines=lines,
        claims=test_claims(experiment, lines),
        warnings=table_warnings(experiment, lines),
        notes=table_notes(experiment, lines),
    )
