"""The command `slt-bench`. Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from slt_bench.arguments import parser
from slt_bench.common import paths
from slt_bench.common.errors import BenchError, run_command
from slt_bench.run.tasks import (
    evaluate_cell,
    keep_tables,
    load,
    prepare_dataset,
    report_all,
    report_table,
    search_cell,
    track_table,
)

if TYPE_CHECKING:
    from slt_bench.experiment.experiments import Experiments


def main() -> None:
    """Entry point of the console script."""
    run_command(lambda: _dispatch(sys.argv[1:]))


def _dispatch(arguments: list[str]) -> None:
    options = parser().parse_args(arguments)
    command = {
        "check": _check, "plan": _plan, "prepare": _prepare, "run": _run,
        "search": _search, "evaluate": _evaluate, "ticket": _ticket, "report": _report,
        "results": _results, "track": _track, "schema": _schema, "doctor": _doctor,
    }[options.command]  # fmt: skip
    command(options)


def _check(options: argparse.Namespace) -> None:
    experiments = load()
    cells = experiments.cells()
    print(f"{paths.PARAMS}: {len(experiments.tables)} tables, {len(cells)} cells, no mistake found")


def _plan(options: argparse.Namespace) -> None:
    from slt_bench.common.text import duration
    from slt_bench.run.announce import announcement
    from slt_bench.run.plan import plan

    experiments = load()
    tables = _tables(experiments, options.table)
    if options.slurm:
        from slt_bench.run.slurm import array_job

        print(array_job(experiments, tables), end="")
        return
    for table in tables:
        planned = plan(experiments.tables[table].cells)
        print(f"{table}: {experiments.tables[table].table.title}")
        for each in planned:
            took = duration(each.seconds) if each.seconds is not None else "?"
            about = "about" if each.is_left else "took"
            why = f"  ({each.standing.reason})" if each.standing.reason else ""
            print(f"  {each.standing.kind:<9}{each.cell.id:<72} {each.cell.identity}  {about} {took}{why}")
        left = [each.seconds for each in planned if each.is_left]
        known = duration(sum(seconds for seconds in left if seconds is not None))
        rest = f"{len(left)} left" + (f", about {known}" if left and None not in left else ", time unknown" if left else "")
        print(f"  {len(planned) - len(left)} of {len(planned)} cells done; {rest}\n")
    print("\n".join(announcement(experiments, experiments.cells(tables).values())))


def _tables(experiments: Experiments, table: str | None) -> list[str]:
    """The named table, or all."""
    return list(experiments.tables) if table is None else [experiments.table(table).name]


def _prepare(options: argparse.Namespace) -> None:
    prepare_dataset(load(), options.dataset)


def _run(options: argparse.Namespace) -> None:
    from slt_bench.run.targets import run_targets

    experiments = load()
    if options.workers is not None:
        machine = experiments.params.machine.model_copy(update={"workers": options.workers})
        experiments = replace(experiments, params=experiments.params.model_copy(update={"machine": machine}))
    run_targets(experiments, options.targets, options.jobs, options.devices, options.part)


def _search(options: argparse.Namespace) -> None:
    from slt_bench.experiment.cell import Cell
    from slt_bench.params.machine import Machine

    if options.given is None:
        experiments = load()
        search_cell(experiments.params.machine, experiments.cell(options.cell))
    else:  # by the process that started this one, which may have read other parameters
        given = json.loads(options.given)
        search_cell(Machine(**given["machine"]), Cell.model_validate(given["cell"]))


def _evaluate(options: argparse.Namespace) -> None:
    experiments = load()
    evaluate_cell(experiments.params.machine, experiments.cell(options.cell))


def _ticket(options: argparse.Namespace) -> None:
    from slt_bench.ticket.describe import describe
    from slt_bench.ticket.file import read_ticket, save_ticket

    if options.write is None and (options.mask or options.statistics):
        raise BenchError("--mask and --statistics say how a ticket is written: give --write OUT with them")
    file = read_ticket(options.file)
    print(describe(file))
    if options.write is not None:
        save_ticket(file.ticket, options.write, options.mask or "packed", options.statistics or "float32")
        print(f"wrote {options.write}: {read_ticket(options.write).size:,} bytes")


def _report(options: argparse.Namespace) -> None:
    experiments = load()
    if options.table is None:
        print(f"wrote {report_all(experiments)}")
    else:
        print(report_table(experiments.table(options.table)))


def _results(options: argparse.Namespace) -> None:
    experiments = load()
    keep_tables(experiments, [experiments.table(table).name for table in options.tables])
    print(f"wrote {paths.RESULTS}/")


def _track(options: argparse.Namespace) -> None:
    experiments = load()
    for table in _tables(experiments, options.table):
        track_table(experiments.tables[table], required=True)


def _schema(options: argparse.Namespace) -> None:
    from slt_bench.common.files import write_text
    from slt_bench.experiment.load import schema

    write_text(paths.SCHEMA, schema())
    print(f"wrote {paths.SCHEMA}")


def _doctor(options: argparse.Namespace) -> None:
    from slt_bench.doctor import examine

    findings = examine()
    for finding in findings:
        print(finding)
    if any(finding.fix for finding in findings):
        raise BenchError("fix what is marked with ✗, then run `slt-bench doctor` again")
