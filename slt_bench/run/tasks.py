"""The tasks behind commands and stages, a function each; heavy libraries are imported where they are needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.compute.memory import prepare_to_compute

if TYPE_CHECKING:
    from slt_bench.experiment.cell import Cell
    from slt_bench.experiment.experiments import Experiment, Experiments
    from slt_bench.params.machine import Machine
    from slt_bench.records.standing import Standing
    from slt_bench.report.results import TableResults


def load() -> Experiments:
    """Read the project's params.yaml and expand it to experiments."""
    from slt_bench.experiment.load import load_experiments

    return load_experiments(paths.PARAMS)


def run_cell(machine: Machine, cell: Cell) -> None:
    """Search a cell, unless it has a result, and evaluate it.

    Args:
        machine: how this machine runs searches.
        cell: the cell.

    Raises:
        BenchError: as `search_cell` and `evaluate_cell`.
    """
    from slt_bench.records.standing import search_standing

    standing = search_standing(cell)
    if standing.is_result:
        print(f"{cell.directory} holds the result of this search; remove it to search again")
    else:
        search_cell(machine, cell)
        standing = search_standing(cell)
    if standing.kind == "diverged":
        print(f"{cell.id}  DIVERGED: {standing.reason} (a lower learning rate may help)")
    else:
        _evaluate(machine, cell, standing)


def search_cell(machine: Machine, cell: Cell) -> None:
    """Search a cell with as many processes as `machine` says; a process that is one of them takes its part.

    Args:
        machine: how this machine runs searches.
        cell: the cell.

    Raises:
        BenchError: as `search.run.search`.
        SystemExit: one of the processes failed, and has printed the reason.
    """
    from slt_bench.compute.launch import launch, started_together, usable_world_size
    from slt_bench.records.standing import search_standing

    world_size = usable_world_size(machine.processes, cell.recipe.shards)
    if world_size == 1 or started_together():
        _search_in_this_process(machine, cell)
    else:
        handover = json.dumps({"cell": cell.model_dump(mode="json"), "machine": machine.model_dump(mode="json")})
        status = launch(world_size, [sys.executable, "-m", "slt_bench", "search", cell.id, "--given", handover])
        if status and search_standing(cell).kind != "diverged":  # divergence is a result too, though all processes end
            raise SystemExit(status if status > 0 else 1)


def _search_in_this_process(machine: Machine, cell: Cell) -> None:
    """Search a cell in this process, and let MLflow follow in the experiment of the cell's table."""
    from slt_bench.common.errors import Interrupted

    prepare_to_compute()
    from slt_bench.compute.world import together
    from slt_bench.search.run import search
    from slt_bench.tracking.live import LiveRun

    with together() as world:
        if not world.first:
            search(cell, None, machine, world)
            return
        live, outcome = LiveRun(cell), None
        try:
            outcome = search(cell, live, machine, world)
        except BaseException as error:
            live.close("KILLED" if isinstance(error, Interrupted | KeyboardInterrupt) else "FAILED")
            raise
        live.close("FAILED" if outcome and "diverged" in outcome else "RUNNING")
    if live.link:
        print(f"compare: `mlflow ui`, then {live.link}")


def evaluate_cell(machine: Machine, cell: Cell) -> None:
    """Evaluate a cell's tickets, print the outcome, and remove the saved state of the search.

    Args:
        machine: how this machine runs searches.
        cell: the cell.

    Raises:
        BenchError: the cell has no tickets, or they are of other parameters, images or code than today's.
    """
    from slt_bench.records.standing import search_standing

    _evaluate(machine, cell, search_standing(cell))


def _evaluate(machine: Machine, cell: Cell, standing: Standing) -> None:
    prepare_to_compute()
    from slt_bench.run.evaluate import evaluate
    from slt_bench.search.checkpoint import Checkpoint

    if standing.kind != "done":
        fix = f"; `slt-bench run {cell.id}` makes what is missing"
        states = {"missing": f"is not there{fix}", "diverged": f"diverged: {standing.reason}; it has no ticket"}
        raise BenchError(f"the search of {cell.id} {states.get(standing.kind, f'is {standing.reason}{fix}')}")
    metrics = evaluate(cell.directory, paths.dataset_dir(cell.dataset_name), machine.workers)
    Checkpoint(paths.state_dir(cell.id, cell.identity), {}).delete()
    print(f"{cell.id}  test {metrics['top1']:.2f} %  {metrics['bytes']:,} bytes")


def report_table(experiment: Experiment) -> str:
    """Write the files of a table's report; returns its Markdown."""
    from slt_bench.report.table import markdown

    return markdown(_write_report(experiment))


def show_table(experiment: Experiment) -> None:
    """Write the files of a table's report, bring MLflow up to date, and print the table in short with where to read on."""
    from slt_bench.report.terminal import short_table

    results = _write_report(experiment)
    print(short_table(results), flush=True)
    _track(results, required=False)


def _write_report(experiment: Experiment) -> TableResults:
    from slt_bench.report.results import table_results
    from slt_bench.report.write import write_report

    results = table_results(experiment)
    write_report(results)
    return results


def report_all(experiments: Experiments) -> Path:
    """Write the reports of the tables that have results, and one page of them all; returns its path.

    Raises:
        BenchError: no cell has a result.
    """
    from slt_bench.report.page import write_page
    from slt_bench.report.results import table_results
    from slt_bench.report.write import write_report

    tables = [results for results in map(table_results, experiments.tables.values()) if results.lines_with_results]
    if not tables:
        raise BenchError("no cell has a result yet: `dvc repro table@demo` or `slt-bench run demo` makes some")
    for results in tables:
        write_report(results)
    write_page(tables, paths.PAGE)
    return paths.PAGE


def keep_tables(experiments: Experiments, tables: list[str]) -> None:
    """Report tables, all that are complete if none is named, and copy the reports into results/.

    Raises:
        BenchError: a named table is not complete.
    """
    from slt_bench.report.archive import archive, complete_tables, list_archived
    from slt_bench.report.write import write_report

    for results in complete_tables(experiments, tables):
        write_report(results)
        archive(results)
    list_archived(experiments)


def track_table(experiment: Experiment, required: bool = False) -> None:
    """Bring a table's MLflow experiment up to date and print where to see it.

    Args:
        experiment: the table.
        required: whether a store that cannot be used is a failure; if not, a note says so.

    Raises:
        BenchError: as `track`, where that is required.
    """
    from slt_bench.report.results import table_results

    _track(table_results(experiment), required)


def _track(results: TableResults, required: bool) -> None:
    from slt_bench.common.errors import Interrupted
    from slt_bench.tracking.runs import track
    from slt_bench.tracking.view import how_to_compare

    try:
        experiment_id, written = track(results.name, results.results)
    except BenchError as error:
        if required or isinstance(error, Interrupted):
            raise
        print(f"note: {error}")
        return
    print(f"MLflow: {written} runs written for {results.name}. Compare: {how_to_compare(experiment_id)}")
