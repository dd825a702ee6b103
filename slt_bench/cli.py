"""The command `slt-bench`. Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slt_bench import paths
from slt_bench.errors import BenchError, run_command

if TYPE_CHECKING:
    from slt_bench.cells import Cell
    from slt_bench.params import Params


def main() -> None:
    """Entry point of the console script."""
    run_command(lambda: _dispatch(sys.argv[1:]))


def _dispatch(arguments: list[str]) -> None:
    options = _parser().parse_args(arguments)
    command = {
        "check": _check, "plan": _plan, "prepare": _prepare, "run": _run, "ticket": _ticket, "report": _report,
        "track": _track, "schema": _schema, "doctor": _doctor,
    }[options.command]  # fmt: skip
    command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="slt-bench", description="Benchmark for strong lottery tickets.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("check", help="validate params.yaml")
    plan = commands.add_parser("plan", help="list cells: done, stale, missing, and the time left")
    plan.add_argument("table", nargs="?", help="one table; all if left out")
    prepare = commands.add_parser("prepare", help="write a dataset's .beton files")
    prepare.add_argument("dataset")
    run = commands.add_parser("run", help="run one cell without DVC: prepare if needed, search, evaluate")
    run.add_argument("cell")
    run.add_argument("--workers", type=int, default=1, help="threads that load images (default 1; results do not change)")
    ticket = commands.add_parser("ticket", help="verify a ticket file and show what is in it")
    ticket.add_argument("file", type=Path)
    report = commands.add_parser("report", help="write a table and its figures from the result files")
    report.add_argument("table")
    track = commands.add_parser("track", help="rebuild MLflow's view of the result files, without duplicates")
    track.add_argument("table", nargs="?", help="one table; all if left out")
    commands.add_parser("schema", help="write the JSON schema of params.yaml for editors")
    commands.add_parser("doctor", help="what is there, what is missing, and how to mend it")
    return parser


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


def _check(options: argparse.Namespace) -> None:
    from slt_bench.cells import expand

    params = load()
    cells = {cell.id for table in params.tables for cell in expand(params, table)}
    print(f"{paths.PARAMS}: {len(params.tables)} tables, {len(cells)} cells, no mistake found")


def _plan(options: argparse.Namespace) -> None:
    from slt_bench.cells import expand
    from slt_bench.plan import duration, plan

    params = load()
    for table in tables_of(params, options.table):
        planned = plan(expand(params, table))
        print(f"{table}: {params.tables[table].title}")
        for each in planned:
            took = duration(each.seconds) if each.seconds is not None else "?"
            about = "took" if each.status == "done" else "about"
            print(f"  {each.status:<8}{each.cell.id:<72} {each.cell.identity}  {about} {took}")
        left = [each.seconds for each in planned if each.status != "done"]
        known = duration(sum(seconds for seconds in left if seconds is not None))
        rest = f"{len(left)} left" + (f", about {known}" if left and None not in left else ", time unknown" if left else "")
        print(f"  {len(planned) - len(left)} of {len(planned)} cells done; {rest}\n")


def _prepare(options: argparse.Namespace) -> None:
    prepare_dataset(load(), options.dataset)


def prepare_dataset(params: Params, name: str) -> None:
    """Write a declared dataset."""
    if name not in params.datasets:
        from slt_bench.feasibility import did_you_mean

        raise BenchError(f"there is no dataset '{name}'{did_you_mean(name, params.datasets)}")
    from slt_bench.data.beton import prepare
    from slt_bench.data.manifest import read_origin

    manifest = prepare(params.datasets[name].images, paths.dataset_dir(name))
    counts = ", ".join(f"{split.images:,} {each}" for each, split in manifest.splits.items())
    print(f"{name}: {counts} images of {read_origin(paths.dataset_dir(name))}, digest {manifest.digest[:12]}")


def _run(options: argparse.Namespace) -> None:
    from slt_bench.cells import find
    from slt_bench.data.manifest import check_manifest, read_manifest

    params = load()
    cell = find(params, options.cell)
    name = cell.dataset_name
    try:
        check_manifest(read_manifest(paths.dataset_dir(name)), cell.dataset.images, name)
    except BenchError as reason:
        print(f"{reason}; doing so")
        prepare_dataset(params, name)
    search_cell(params, cell, options.workers)
    evaluate_cell(cell, options.workers)


def search_cell(params: Params, cell: Cell, workers: int = 1) -> None:
    """Search a cell with MLflow following, in the experiment of the first table that has it."""
    from slt_bench.cells import expand
    from slt_bench.errors import Interrupted
    from slt_bench.search import search
    from slt_bench.tracking import LiveRun

    tables = [table for table in params.tables if any(each.id == cell.id for each in expand(params, table))]
    live = LiveRun(tables[0] if tables else "cells", cell)
    try:
        search(cell, live, workers)
    except BaseException as error:
        live.close("KILLED" if isinstance(error, Interrupted | KeyboardInterrupt) else "FAILED")
        raise
    live.close()
    if live.link:
        print(f"compare: `mlflow ui`, then {live.link}")


def evaluate_cell(cell: Cell, workers: int = 1) -> None:
    """Evaluate a cell's tickets and print the outcome."""
    from slt_bench.evaluate import evaluate

    metrics = evaluate(paths.cell_dir(cell.id), paths.dataset_dir(cell.dataset_name), workers)
    print(f"{cell.id}  test {metrics['top1']:.2f} %  {metrics['bytes']:,} bytes")


def _ticket(options: argparse.Namespace) -> None:
    from slt_bench.describe import describe
    from slt_bench.ticket import read_ticket

    print(describe(read_ticket(options.file)))


def _report(options: argparse.Namespace) -> None:
    params = load()
    for table in tables_of(params, options.table):
        print(report_table(params, table))


def report_table(params: Params, table: str) -> str:
    """Write a table's files; returns its Markdown."""
    from slt_bench.report.figures import draw_figures
    from slt_bench.report.table import lines, write_table

    directory = paths.table_dir(table)
    figures = draw_figures(lines(params, table), params.tables[table].title, directory / "figures")
    return write_table(params, table, directory, figures)


def _track(options: argparse.Namespace) -> None:
    params = load()
    for table in tables_of(params, options.table):
        track_table(params, table)


def track_table(params: Params, table: str) -> None:
    """Bring a table's MLflow experiment up to date and print where to see it."""
    from slt_bench.cells import expand
    from slt_bench.tracking import comparison_link, track

    experiment_id, written = track(table, expand(params, table))
    print(f"MLflow: {written} runs written for {table}. Compare: start `mlflow ui`, open {comparison_link(experiment_id)}")


def _schema(options: argparse.Namespace) -> None:
    from slt_bench.checkpoint import write_text
    from slt_bench.params_file import schema

    write_text(paths.SCHEMA, schema())
    print(f"wrote {paths.SCHEMA}")


def _doctor(options: argparse.Namespace) -> None:
    from slt_bench.doctor import examine

    findings = examine()
    for finding in findings:
        print(finding)
    if any(finding.mend for finding in findings):
        raise BenchError("mend what is marked with ✗, then run `slt-bench doctor` again")
