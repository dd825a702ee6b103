"""The command `slt-bench`. Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from slt_bench import paths
from slt_bench.errors import BenchError, run_command
from slt_bench.steps import (
    evaluate_cell,
    keep_tables,
    load,
    prepare_dataset,
    report_all,
    report_table,
    search_cell,
    tables_of,
    track_table,
)


def main() -> None:
    """Entry point of the console script."""
    run_command(lambda: _dispatch(sys.argv[1:]))


def _dispatch(arguments: list[str]) -> None:
    options = _parser().parse_args(arguments)
    command = {
        "check": _check, "plan": _plan, "prepare": _prepare, "run": _run,
        "search": _search, "evaluate": _evaluate, "ticket": _ticket, "report": _report,
        "results": _results, "track": _track, "schema": _schema, "doctor": _doctor,
    }[options.command]  # fmt: skip
    command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="slt-bench", description="Benchmark for strong lottery tickets.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("check", help="validate params.yaml")
    plan = commands.add_parser("plan", help="list cells: done, stale, missing, and the time left")
    plan.add_argument("table", nargs="?", help="one table; all if left out")
    plan.add_argument("--slurm", action="store_true", help="print an array job of the cells that are left")
    prepare = commands.add_parser("prepare", help="write a dataset's .beton files")
    prepare.add_argument("dataset")
    run = commands.add_parser("run", help="run cells without DVC's lock; of a table, DVC takes the results over")
    run.add_argument("targets", nargs="+", metavar="TARGET", help="a table or a cell")
    run.add_argument("--jobs", type=_positive, help="cells at a time, a process each; as many as --devices if left out, else 1")
    run.add_argument(
        "--devices", type=lambda text: text.split(","), default=[], help="CUDA devices to spread them over: 0,1,..."
    )
    run.add_argument(
        "--part", type=_part, default=(1, 1), metavar="I/N", help="the I-th of N parts of the cells: one a machine"
    )
    run.add_argument("--workers", type=int, help="threads that load images, in place of machine.workers of params.yaml")
    search = commands.add_parser("search", help="the search of one cell alone; with torchrun, by several processes")
    search.add_argument("cell")
    search.add_argument("--given", help=argparse.SUPPRESS)
    commands.add_parser("evaluate", help="the test metrics of a cell's tickets").add_argument("cell")
    ticket = commands.add_parser("ticket", help="verify a ticket file and show what is in it")
    ticket.add_argument("file", type=Path)
    ticket.add_argument("--write", type=Path, metavar="OUT", help="write it again, in another form")
    ticket.add_argument("--mask", choices=["packed", "coded"], help="with --write; coded: entropy-coded")
    ticket.add_argument("--statistics", choices=["float32", "float16"], help="with --write; of the batch norms")
    report = commands.add_parser("report", help="write a table and its figures from the result files")
    report.add_argument("table", nargs="?", help="one table; all that have results, and a page of all, if left out")
    results = commands.add_parser("results", help="keep the reports of complete tables in results/, for the repository")
    results.add_argument("tables", nargs="*", metavar="TABLE", help="all that are complete if left out")
    track = commands.add_parser("track", help="rebuild MLflow's view of the result files, without duplicates")
    track.add_argument("table", nargs="?", help="one table; all if left out")
    commands.add_parser("schema", help="write the JSON schema of params.yaml for editors")
    commands.add_parser("doctor", help="what is there, what is missing, and how to mend it")
    return parser


def _check(options: argparse.Namespace) -> None:
    from slt_bench.cells import cells_of

    params = load()
    cells = cells_of(params, params.tables)
    print(f"{paths.PARAMS}: {len(params.tables)} tables, {len(cells)} cells, no mistake found")


def _plan(options: argparse.Namespace) -> None:
    from slt_bench.cells import expand
    from slt_bench.plan import duration, plan

    params = load()
    if options.slurm:
        from slt_bench.slurm import array_job

        print(array_job(params, tables_of(params, options.table)), end="")
        return
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


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text!r}")
    return int(text)


def _part(text: str) -> tuple[int, int]:
    """I/N."""
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"must be like 1/2, got {text!r}")
    return int(part), int(parts)


def _run(options: argparse.Namespace) -> None:
    from slt_bench.targets import run_targets

    params = load()
    if options.workers is not None:
        params = params.model_copy(update={"machine": params.machine.model_copy(update={"workers": options.workers})})
    run_targets(params, options.targets, options.jobs or len(options.devices) or 1, options.devices, options.part)


def _search(options: argparse.Namespace) -> None:
    from slt_bench.cell import Cell
    from slt_bench.cells import find
    from slt_bench.params import Machine

    params = load()
    if options.given is None:
        search_cell(params, find(params, options.cell))
    else:  # by the process that started this one, which may have read other parameters
        given = json.loads(options.given)
        search_cell(params.model_copy(update={"machine": Machine(**given["machine"])}), Cell.model_validate(given["cell"]))


def _evaluate(options: argparse.Namespace) -> None:
    from slt_bench.cells import find

    params = load()
    evaluate_cell(params, find(params, options.cell))


def _ticket(options: argparse.Namespace) -> None:
    from slt_bench.describe import describe
    from slt_bench.ticket_file import read_ticket, save_ticket

    if options.write is None and (options.mask or options.statistics):
        raise BenchError("--mask and --statistics say how a ticket is written: give --write OUT with them")
    file = read_ticket(options.file)
    print(describe(file))
    if options.write is not None:
        save_ticket(file.ticket, options.write, options.mask or "packed", options.statistics or "float32")
        print(f"wrote {options.write}: {read_ticket(options.write).size:,} bytes")


def _report(options: argparse.Namespace) -> None:
    params = load()
    if options.table is None:
        print(f"wrote {report_all(params)}")
    else:
        print(report_table(params, *tables_of(params, options.table)))


def _results(options: argparse.Namespace) -> None:
    params = load()
    keep_tables(params, [name for table in options.tables for name in tables_of(params, table)])
    print(f"wrote {paths.RESULTS}/")


def _track(options: argparse.Namespace) -> None:
    params = load()
    for table in tables_of(params, options.table):
        track_table(params, table)


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
