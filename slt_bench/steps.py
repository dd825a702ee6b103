"""What commands and stages do: one function for each step of the way. Heavy libraries are imported where they are needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slt_bench import paths
from slt_bench.errors import BenchError
from slt_bench.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slt_bench.cells import Cell
    from slt_bench.params import Params


def load() -> Params:
    """The project's parameters."""
    from slt_bench.params_file import load_params

    return load_params(paths.PARAMS)


def tables_of(params: Params, table: str | None) -> list[str]:
    """The named table, or all."""
    if table is None:
        return list(params.tables)
    if table not in params.tables:
        from slt_bench.feasibility import did_you_mean

        known = ", ".join(params.tables)
        raise BenchError(f"there is no table '{table}'{did_you_mean(table, params.tables)} (there are: {known})")
    return [table]


def prepare_dataset(params: Params, name: str) -> None:
    """Write a declared dataset."""
    if name not in params.datasets:
        from slt_bench.feasibility import did_you_mean

        raise BenchError(f"there is no dataset '{name}'{did_you_mean(name, params.datasets)}")
    from slt_bench.data.beton import prepare
    from slt_bench.data.manifest import read_origin

    manifest = prepare(params.datasets[name].images, paths.dataset_dir(name), params.machine.workers)
    counts = ", ".join(f"{count:,} {split}" for split, count in manifest.counts().items())
    print(f"{name}: {counts} images of {read_origin(paths.dataset_dir(name))}, digest {manifest.digest[:12]}")


def run_cell(params: Params, cell: Cell) -> None:
    """Search a cell, unless that is done, and evaluate it."""
    from slt_bench.plan import is_found

    if is_found(cell):
        print(f"{paths.cell_dir(cell.id)} holds the ticket of this search; remove it to search again")
    else:
        search_cell(params, cell)
    evaluate_cell(params, cell)


def run_targets(params: Params, targets: list[str], jobs: int, devices: list[str], part: tuple[int, int]) -> None:
    """Run what is left of tables and cells; what tables need is DVC's before and after, where DVC is.

    Raises:
        BenchError: at the end, listing the cells that failed, each with the reason and its log.
    """
    from slt_bench.cells import expand, families, find
    from slt_bench.pool import run_cells

    tables = [target for target in targets if target in params.tables]
    cells = {cell.id: cell for table in tables for cell in expand(params, table)}
    cells |= {cell.id: cell for target in targets if target not in params.tables for cell in [find(params, target)]}
    mine = [cell for family in families(list(cells.values()))[part[0] - 1 :: part[1]] for cell in family]
    through_dvc = bool(tables) and Path(".dvc").is_dir()
    if through_dvc:
        _dvc("before", [cell.id for cell in mine])
    prepare_missing(params, mine)
    if not tables and len(mine) == 1:
        run_cell(params, mine[0])
        return
    failures = run_cells(params, mine, jobs, devices)
    if through_dvc:
        _dvc("after", [cell.id for cell in mine])
    if failures:
        told = [f"  {each.cell.id}: {each.reason}" + (f" ({each.log})" if each.log else "") for each in failures]
        raise BenchError(f"{len(failures)} of {len(mine)} cells failed; the same command tries them again:\n" + "\n".join(told))
    for table in tables if len(mine) == len(cells) else ():
        if through_dvc:
            _dvc("report", [table])
        else:
            print(report_table(params, table))
            track_table(params, table)


def _dvc(step: str, names: list[str]) -> None:
    """Nothing here knows DVC: a stage's script does it, in a process of its own."""
    if status := subprocess.run([sys.executable, "-m", "stages.results", step, *names]).returncode:
        raise SystemExit(status)


def prepare_missing(params: Params, cells: Iterable[Cell]) -> None:
    """Write the datasets of these cells that are not there or are of other parameters."""
    from slt_bench.data.manifest import check_manifest, read_manifest

    for name, images in {cell.dataset_name: cell.dataset.images for cell in cells}.items():
        try:
            check_manifest(read_manifest(paths.dataset_dir(name)), images, name)
        except BenchError as reason:
            print(f"{reason}; doing so")
            prepare_dataset(params, name)


def search_cell(params: Params, cell: Cell) -> None:
    """Search a cell, by as many processes as `machine` says, unless this is one of them already.

    Raises:
        BenchError: as `search`; the first process that failed has said why.
    """
    from slt_bench.processes import launch, started_together, usable

    count = usable(params.machine.processes, cell.recipe.shards)
    if count == 1 or started_together():
        _search_in_this_process(params, cell)
    else:
        given = json.dumps({"cell": cell.model_dump(mode="json"), "machine": params.machine.model_dump(mode="json")})
        if status := launch(count, [sys.executable, "-m", "slt_bench", "search", cell.id, "--given", given]):
            raise SystemExit(status if status > 0 else 1)


def _search_in_this_process(params: Params, cell: Cell) -> None:
    """MLflow follows, in the experiment of the first table that has the cell."""
    from slt_bench.cells import expand
    from slt_bench.errors import Interrupted

    keep_freed_memory()
    from slt_bench.processes import together
    from slt_bench.search import search
    from slt_bench.tracking.live import LiveRun

    tables = [table for table in params.tables if any(each.id == cell.id for each in expand(params, table))]
    with together() as processes:
        if not processes.first:
            search(cell, None, params.machine, processes)
            return
        live = LiveRun(tables[0] if tables else "cells", cell)
        try:
            search(cell, live, params.machine, processes)
        except BaseException as error:
            live.close("KILLED" if isinstance(error, Interrupted | KeyboardInterrupt) else "FAILED")
            raise
        live.close()
    if live.link:
        print(f"compare: `mlflow ui`, then {live.link}")


def evaluate_cell(params: Params, cell: Cell) -> None:
    """Evaluate a cell's tickets, print the outcome, and remove the state of the search: no interruption can undo it now."""
    keep_freed_memory()
    from slt_bench.checkpoint import Checkpoint
    from slt_bench.evaluate import evaluate

    metrics = evaluate(paths.cell_dir(cell.id), paths.dataset_dir(cell.dataset_name), params.machine.workers)
    Checkpoint(paths.state_dir(cell.id, cell.identity), {}).delete()
    print(f"{cell.id}  test {metrics['top1']:.2f} %  {metrics['bytes']:,} bytes")


def report_table(params: Params, table: str) -> str:
    """Write a table's files; returns its Markdown."""
    from slt_bench.report.figures import draw_figures
    from slt_bench.report.lines import lines
    from slt_bench.report.page import write_page
    from slt_bench.report.table import write_table

    directory = paths.table_dir(table)
    figures = draw_figures(lines(params, table), params.tables[table].title, directory / "figures")
    markdown = write_table(params, table, directory, figures)
    write_page(params, [table], directory / "report.html")
    return markdown


def report_all(params: Params) -> Path:
    """Write the tables that have results, and one page of them all; returns its path."""
    from slt_bench.report.lines import lines
    from slt_bench.report.page import write_page

    tables = [table for table in params.tables if any(line.results for line in lines(params, table))]
    if not tables:
        raise BenchError("no cell has a result yet: `dvc repro demo` or `slt-bench run demo` makes some")
    for table in tables:
        report_table(params, table)
    write_page(params, tables, paths.OUTPUTS / "report.html")
    return paths.OUTPUTS / "report.html"


def track_table(params: Params, table: str) -> None:
    """Bring a table's MLflow experiment up to date and print where to see it."""
    from slt_bench.cells import expand
    from slt_bench.tracking.runs import track
    from slt_bench.tracking.view import comparison_link

    experiment_id, written = track(table, expand(params, table))
    print(f"MLflow: {written} runs written for {table}. Compare: start `mlflow ui`, open {comparison_link(experiment_id)}")
