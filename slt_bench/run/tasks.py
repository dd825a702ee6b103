"""What commands and stages do: one function for each step of the way. Heavy libraries are imported where they are needed."""

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
    from slt_bench.params.tables import Params
    from slt_bench.report.lines import Line


def load() -> Params:
    """The project's parameters."""
    from slt_bench.experiment.load import load_params

    return load_params(paths.PARAMS)


def tables_of(params: Params, table: str | None) -> list[str]:
    """The named table, or all."""
    if table is None:
        return list(params.tables)
    if table not in params.tables:
        from slt_bench.common.text import did_you_mean

        known = ", ".join(params.tables)
        raise BenchError(f"there is no table '{table}'{did_you_mean(table, params.tables)} (there are: {known})")
    return [table]


def prepare_dataset(params: Params, name: str) -> None:
    """Write a declared dataset."""
    if name not in params.datasets:
        from slt_bench.common.text import did_you_mean

        raise BenchError(f"there is no dataset '{name}'{did_you_mean(name, params.datasets)}")
    from slt_bench.data.manifest import read_origin
    from slt_bench.data.prepare import prepare

    manifest = prepare(params.datasets[name].images, paths.dataset_dir(name), params.machine.workers)
    counts = ", ".join(f"{count:,} {split}" for split, count in manifest.counts().items())
    print(f"{name}: {counts} images of {read_origin(paths.dataset_dir(name))}, digest {manifest.digest[:12]}")


def run_cell(params: Params, cell: Cell) -> None:
    """Search a cell, unless that is done, and evaluate it."""
    from slt_bench.records.standing import search_standing

    if search_standing(cell).is_result:
        print(f"{paths.cell_dir(cell.id)} holds the result of this search; remove it to search again")
    else:
        search_cell(params, cell)
    if (stands := search_standing(cell)).kind == "diverged":
        print(f"{cell.id}  DIVERGED: {stands.reason} (a lower learning rate may help)")
    else:
        evaluate_cell(params, cell)


def search_cell(params: Params, cell: Cell) -> None:
    """Search a cell, by as many processes as `machine` says, unless this is one of them already.

    Raises:
        BenchError: as `search`; the first process that failed has said why.
    """
    from slt_bench.compute.launch import launch, started_together, usable_world_size
    from slt_bench.records.standing import search_standing

    count = usable_world_size(params.machine.processes, cell.recipe.shards)
    if count == 1 or started_together():
        _search_in_this_process(params, cell)
    else:
        given = json.dumps({"cell": cell.model_dump(mode="json"), "machine": params.machine.model_dump(mode="json")})
        status = launch(count, [sys.executable, "-m", "slt_bench", "search", cell.id, "--given", given])
        if status and search_standing(cell).kind != "diverged":  # of that one process keeps the result, and all end
            raise SystemExit(status if status > 0 else 1)


def _search_in_this_process(params: Params, cell: Cell) -> None:
    """MLflow follows, in the experiment of the first table that has the cell."""
    from slt_bench.common.errors import Interrupted
    from slt_bench.experiment.grid import expand

    prepare_to_compute()
    from slt_bench.compute.world import together
    from slt_bench.search.run import search
    from slt_bench.tracking.live import LiveRun

    table = next((name for name in params.tables if any(each.id == cell.id for each in expand(params, name))), "cells")
    with together() as world:
        if not world.first:
            search(cell, None, params.machine, world)
            return
        live, outcome = LiveRun(table, cell), None
        try:
            outcome = search(cell, live, params.machine, world)
        except BaseException as error:
            live.close("KILLED" if isinstance(error, Interrupted | KeyboardInterrupt) else "FAILED")
            raise
        live.close("FAILED" if outcome and "diverged" in outcome else "RUNNING")
    if live.link:
        print(f"compare: `mlflow ui`, then {live.link}")


def evaluate_cell(params: Params, cell: Cell) -> None:
    """Evaluate a cell's tickets, print the outcome, and remove the state of the search that found them.

    Raises:
        BenchError: there are none, or they are of other parameters, images or code than today's.
    """
    prepare_to_compute()
    from slt_bench.records.standing import search_standing
    from slt_bench.run.evaluate import evaluate
    from slt_bench.search.checkpoint import Checkpoint

    stands = search_standing(cell)
    if stands.kind != "done":
        again = f"; `slt-bench run {cell.id}` makes what is missing"
        what = {"missing": f"is not there{again}", "diverged": f"diverged: {stands.reason}; it has no ticket"}
        raise BenchError(f"the search of {cell.id} {what.get(stands.kind, f'is {stands.reason}{again}')}")
    metrics = evaluate(paths.cell_dir(cell.id), paths.dataset_dir(cell.dataset_name), params.machine.workers)
    Checkpoint(paths.state_dir(cell.id, cell.identity), {}).delete()
    print(f"{cell.id}  test {metrics['top1']:.2f} %  {metrics['bytes']:,} bytes")


def report_table(params: Params, table: str) -> str:
    """Write a table's files; returns its Markdown."""
    from slt_bench.report.lines import lines

    return _report(params, table, lines(params, table))


def report_all(params: Params) -> Path:
    """Write the tables that have results, and one page of them all; returns its path."""
    from slt_bench.report.lines import lines
    from slt_bench.report.page import write_page

    contents = {table: lines(params, table) for table in params.tables}
    found = {table: content for table, content in contents.items() if any(line.results for line in content)}
    if not found:
        raise BenchError("no cell has a result yet: `dvc repro demo` or `slt-bench run demo` makes some")
    for table, content in found.items():
        _report(params, table, content)
    write_page(params, found, paths.PAGE)
    return paths.PAGE


def keep_tables(params: Params, tables: list[str]) -> None:
    """Report tables, all that are complete if none is named, and keep that in results/.

    Raises:
        BenchError: a named table is not complete.
    """
    from slt_bench.report.archive import complete, keep, list_kept

    for table, content in complete(params, tables).items():
        _report(params, table, content)
        keep(params, table, content)
    list_kept(params)


def _report(params: Params, table: str, content: list[Line]) -> str:
    from slt_bench.report.figures.draw import draw_figures
    from slt_bench.report.page import write_page
    from slt_bench.report.table import write_table

    directory = paths.table_dir(table)
    figures = draw_figures(content, params.tables[table].title, directory / "figures")
    write_page(params, {table: content}, directory / "report.html")
    return write_table(params, table, content, directory, figures)


def track_table(params: Params, table: str, required: bool = False) -> None:
    """Bring a table's MLflow experiment up to date and print where to see it.

    Raises:
        BenchError: as `track`, where that is what was asked for (`required`); else it is said, and is no failure.
    """
    from slt_bench.common.errors import Interrupted
    from slt_bench.experiment.grid import expand
    from slt_bench.tracking.runs import track
    from slt_bench.tracking.view import how_to_compare

    cells = expand(params, table)
    try:
        experiment_id, written = track(table, cells)
    except BenchError as error:
        if required or isinstance(error, Interrupted):
            raise
        print(f"note: {error}")
        return
    print(f"MLflow: {written} runs written for {table}. Compare: {how_to_compare(experiment_id)}")
