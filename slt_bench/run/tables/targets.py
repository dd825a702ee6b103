"""The work of `slt-bench run` and of DVC's search stages: what is left of tables and cells, by the executor asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.engine.head import Failure
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.records.begun import begun
from slt_bench.records.leftovers import leftovers
from slt_bench.records.shared import set_aside, take_from_others
from slt_bench.records.standing import gives_ticket
from slt_bench.run.cells import run_cell
from slt_bench.run.datasets import prepare_missing
from slt_bench.run.many import Places, chosen, run_cells
from slt_bench.run.tables import dvc
from slt_bench.run.tables.announce import announcement
from slt_bench.run.tables.plan import plan
from slt_bench.run.tables.reports import show_table


def run_targets(experiments: Experiments, targets: Sequence[str], places: Places) -> None:
    """Run what is left of tables and cells, then report the tables; with DVC, datasets and tables go through its stages.

    Args:
        experiments: all that params.yaml declares.
        targets: names of tables and ids of cells.
        places: where the cells run.

    Raises:
        BenchError: at the end, listing the cells that failed, each with the reason and its log.
    """
    machine, targets = experiments.params.machine, list(dict.fromkeys(targets))
    tables = [target for target in targets if target in experiments.tables]
    cells = _cells_of(experiments, targets)
    if not tables and len(cells) == 1 and places == Places(jobs=places.jobs):
        prepare_missing(experiments, cells)
        _take(cells)
        run_cell(machine, cells[0])
        return
    places = chosen(machine, places)
    announce(experiments, cells, places)
    datasets = list(dict.fromkeys(cell.dataset_name for cell in cells))
    through_dvc = bool(tables) and _dvc_follows(datasets, tables)
    if through_dvc:
        dvc.reproduce(*(f"prepare@{name}" for name in datasets))
    else:
        prepare_missing(experiments, cells)
    report_failures(search_cells(experiments, tables, cells, places), len(cells))
    if through_dvc:
        dvc.reproduce(*(f"table@{table}" for table in tables))
        return
    for table in tables:
        show_table(experiments.tables[table])


def _dvc_follows(datasets: Sequence[str], tables: Sequence[str]) -> bool:
    """Whether this project has DVC, and all that a run writes lies where DVC can follow it; says so where it does not."""
    if not dvc.is_set_up():
        return False
    outside = dvc.outside([*map(paths.dataset_dir, datasets), *map(paths.cells_dir, tables), *map(paths.table_dir, tables)])
    if outside:
        print(f"note: {', '.join(map(str, outside))}: out of the project, where DVC follows nothing; this run goes without it")
    return not outside


def search_table(experiments: Experiments, table: str) -> None:
    """Run what is left of a table whose dataset is prepared; if that fails, all existing results stay.

    Args:
        experiments: all that params.yaml declares.
        table: name of the table.

    Raises:
        BenchError: as `run_targets`.
    """
    cells = begun(experiments.table(table)).cells
    places = chosen(experiments.params.machine, Places())
    if dvc.ANNOUNCED not in os.environ:
        announce(experiments, cells, places)
    report_failures(search_cells(experiments, [table], cells, places), len(cells))


def _cells_of(experiments: Experiments, targets: Sequence[str]) -> list[Cell]:
    """Collect the cells of targets, those of tables first, begun ones of more seeds too; a parent comes before its children."""
    cells = [cell for target in targets if target in experiments.tables for cell in begun(experiments.tables[target]).cells]
    for target in targets:
        if target not in experiments.tables:
            cells += [cell for cell in _with_parent(experiments, target) if cell not in cells]
    return cells


def _with_parent(experiments: Experiments, cell_id: str) -> list[Cell]:
    """Look up a cell, after its parent if that has no ticket yet, or one of other parameters."""
    cell = experiments.cell(cell_id)
    of_table = experiments.tables[cell.table].cells
    parents = [other for other in of_table if cell.source.parent and other.id == cell.source.parent.id]
    return [*(parent for parent in parents if not gives_ticket(parent)), cell]


def announce(experiments: Experiments, cells: Sequence[Cell], places: Places) -> None:
    """Say before a run what is left of cells, how long it takes, and what is missing for it."""
    for line in leftovers():
        print(f"note: {line}")
    for line in announcement(experiments, plan(cells, tickets=True), places.jobs or 1):
        print(line, flush=True)


def search_cells(experiments: Experiments, tables: Sequence[str], cells: Sequence[Cell], places: Places) -> list[Failure]:
    """Run the cells that have no result, after results of removed cells are set aside and shared ones copied.

    Args:
        experiments: all that params.yaml declares.
        tables: whose removed cells are set aside.
        cells: the cells, parents before their children.
        places: where they run.

    Returns:
        The cells that failed.
    """
    for table in tables:
        for directory in set_aside(table, experiments.tables[table].all_cells):
            print(f"note: {table} declares {directory.name} no more; its result lies in {directory.parent}")
    _take(cells)
    return run_cells(experiments.params.machine, cells, places)


def _take(cells: Sequence[Cell]) -> None:
    if taken := take_from_others(cells):
        print(f"{len(taken)} results are there already, in other tables or set aside")


def report_failures(failures: Sequence[Failure], count: int | None = None) -> None:
    """Raise an error that lists the cells that failed, each with the reason and its log, if there are any.

    Args:
        failures: the cells.
        count: number of all cells, for the message.
    """
    if failures:
        lines = "\n".join(f"  {_described(failure)}" for failure in failures)
        of = f" of {count}" if count else ""
        raise BenchError(f"{len(failures)}{of} cells failed; the same command tries them again:\n{lines}")


def _described(failure: Failure) -> str:
    log = f" ({failure.log})" if failure.log else ""
    return f"{failure.cell.id}: {failure.reason}{log}"
