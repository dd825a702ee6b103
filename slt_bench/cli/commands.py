"""The commands of `slt-bench`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slt_bench.cli.types import Count, Devices, Handover, Name, Parameter
from slt_bench.common import paths
from slt_bench.common.errors import BenchError, run_command
from slt_bench.params.machine import MOST_WORKERS
from slt_bench.run import cells, reports

if TYPE_CHECKING:
    from slt_bench.experiment.experiments import Experiment, Experiments

_MOST_JOBS = 1024
_COMPLETION = "_SLT_BENCH_COMPLETE"  # the variable by which a shell asks for completion


def main() -> None:
    """Run the command of this process's arguments, and exit with its status."""
    run_command(lambda: invoke(sys.argv[1:]))


def invoke(arguments: list[str]) -> None:
    """Run a command; `arguments` are its name, options and targets.

    Raises:
        BenchError: the arguments are invalid, or the command has failed.
        SystemExit: the command ends with another status than 0.
    """
    if _COMPLETION in os.environ:
        commands.main(arguments, prog_name="slt-bench", complete_var=_COMPLETION)
    try:
        with commands.make_context("slt-bench", arguments or ["--help"]) as context:
            commands.invoke(context)
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from None
    except click.UsageError as error:
        where = f"; `{error.ctx.command_path} --help` tells more" if error.ctx else ""
        raise BenchError(f"{' '.join(error.format_message().split()).rstrip('.')}{where}") from None


def _load() -> Experiments:
    from slt_bench.experiment.load import load_experiments

    return load_experiments()


def _version() -> str:
    try:
        return version("slt-bench")
    except PackageNotFoundError:
        return "unknown, since it is not installed"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(_version(), prog_name="slt-bench", message="%(prog)s %(version)s")
def commands() -> None:
    """Benchmark for strong lottery tickets: subnetworks of random networks that classify well untrained."""


@commands.command()
def check() -> None:
    """Validate params.yaml."""
    experiments = _load()
    count = len(experiments.cells())
    print(f"{paths.PARAMS}: {len(experiments.tables)} tables, {count} cells, no mistake found")


@commands.command()
@click.argument("table", required=False, type=Name("table"))
def plan(table: str | None) -> None:
    """List what is done, stale and missing, and the time left: of each table, or of each cell of one."""
    from slt_bench.common.text import grouped
    from slt_bench.run.announce import announcement, cell_summary, table_summary
    from slt_bench.run.plan import plan

    experiments = _load()
    tables = list(experiments.tables) if table is None else [experiments.table(table).name]
    planned = plan([cell for name in tables for cell in experiments.tables[name].cells])
    for name, entries in grouped(planned, lambda entry: entry.cell.table).items():
        print(table_summary(experiments.tables[name], entries))
        if table is not None:
            print("\n".join(f"  {cell_summary(entry)}" for entry in entries))
    print("\n".join(announcement(experiments, planned)))
    if table is not None:
        from slt_bench.run.decide import describe_open

        print("\n".join(describe_open(experiments.table(table))))


@commands.command()
@click.argument("dataset", type=Name("dataset"))
def prepare(dataset: str) -> None:
    """Write the .beton files of a dataset."""
    from slt_bench.run.datasets import prepare_dataset

    prepare_dataset(_load(), dataset)


@commands.command()
@click.argument("targets", required=True, nargs=-1, metavar="TARGET...", type=Name("table", "cell"))
@click.option("--jobs", type=Count(_MOST_JOBS), metavar="N", help="Cells at a time; one a device or core if left out.")
@click.option("--devices", type=Devices(), default=(), metavar="0,1", help="CUDA devices to use; all if left out.")
@click.option(
    "--executor", default="local", metavar="WHERE", help="Where cells run: local, tcp://HOST:PORT (dask), or module:function."
)
@click.option(
    "--workers", type=Count(MOST_WORKERS), metavar="N", help="Threads that load images, in place of those of params.yaml."
)
@click.option("--decide", is_flag=True, help="Run cells, of more seeds too, where open claims can be decided most cheaply.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), metavar="H", help="With --decide: for how long.")
def run(
    targets: tuple[str, ...],
    jobs: int | None,
    devices: list[str],
    executor: str,
    workers: int | None,
    decide: bool,
    hours: float | None,
) -> None:
    """Run what is left of tables or cells, several at a time; of a table, DVC takes the results over."""
    if decide != (hours is not None):
        raise BenchError("--decide and --hours H belong together: cells are run for so long at most")
    from slt_bench.run.decide import decide_tables
    from slt_bench.run.many import Places
    from slt_bench.run.targets import run_targets

    places = Places(executor, jobs, tuple(devices))
    experiments = _load()
    if workers is not None:
        machine = experiments.params.machine.model_copy(update={"workers": workers})
        experiments = replace(experiments, params=experiments.params.model_copy(update={"machine": machine}))
    if hours is None:
        run_targets(experiments, targets, places)
    else:
        decide_tables(experiments, targets, hours, places)


@commands.command()
@click.argument("cell", type=Name("cell"))
@click.option("--given", "handover", type=Handover(), hidden=True)
def search(cell: str, handover: dict[str, Any] | None) -> None:
    """Run the search of one cell alone; with torchrun, by several processes."""
    if handover is None:
        experiments = _load()
        cells.search_cell(experiments.params.machine, experiments.cell(cell))
    else:  # the process that started this one may have read other parameters than today's
        cells.search_cell(handover["machine"], handover["cell"])


@commands.command("check-search")
@click.argument("search", metavar="FILE|KIND")
@click.option("--with", "parameters", type=Parameter(), multiple=True, metavar="KEY=VALUE", help="A parameter of the search.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where toy networks live; cpu if left out.")
def check_search(search: str, parameters: tuple[tuple[str, Any], ...], device: str) -> None:
    """Try the laws on a search: a Python file, module:Class, or a kind of params.yaml."""
    from slt_bench.laws.check import check_search, find_searches

    broken = []
    for one in find_searches(search, dict(parameters)):
        print(f"{one.kind}: {one.label}")
        for verdict in check_search(one, device):
            print(f"  {verdict}", flush=True)
            broken += [] if verdict.holds else [f"{verdict.law} of {one.kind}"]
    if broken:
        raise BenchError(f"does not hold: {', '.join(broken)}")


@commands.command()
@click.argument("cell", type=Name("cell"))
def evaluate(cell: str) -> None:
    """Write the test metrics of a cell's tickets."""
    experiments = _load()
    cells.evaluate_cell(experiments.params.machine, experiments.cell(cell))


@commands.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--write", type=click.Path(path_type=Path), metavar="OUT", help="Write it again, in another form.")
@click.option("--mask", type=click.Choice(["packed", "coded"]), help="With --write; coded: entropy-coded.")
@click.option("--statistics", type=click.Choice(["float32", "float16"]), help="With --write; of the batch norms.")
@click.option("--plugin", "plugins", multiple=True, metavar="MODULE", help="Import a module that the ticket's network is from.")
def ticket(file: Path, write: Path | None, mask: str | None, statistics: str | None, plugins: tuple[str, ...]) -> None:
    """Verify a ticket file and show what is in it."""
    from slt_bench.common.plugins import import_plugin
    from slt_bench.ticket.describe import describe
    from slt_bench.ticket.file import read_ticket, save_ticket

    if write is None and (mask or statistics):
        raise BenchError("--mask and --statistics say how a ticket is written: give --write OUT with them")
    for plugin in plugins:
        import_plugin(plugin)
    ticket_file = read_ticket(file)
    print(describe(ticket_file))
    if write is not None:
        save_ticket(ticket_file.ticket, write, mask or "packed", statistics or "float32")  # type: ignore[arg-type]  # click's choices
        print(f"wrote {write}: {read_ticket(write).size:,} bytes")


@commands.command()
@click.argument("table", required=False, type=Name("table"))
def report(table: str | None) -> None:
    """Write a table and its figures from the result files; without a table, of all, and a page of all."""
    experiments = _load()
    if table is None:
        print(f"wrote {reports.report_all(experiments)}")
    else:
        print(reports.report_table(experiments.table(table)))


@commands.command()
@click.argument("tables", nargs=-1, metavar="[TABLE...]", type=Name("table"))
@click.option("--verify", is_flag=True, help="Evaluate the tickets that are kept in results/ again, and write nothing.")
def results(tables: tuple[str, ...], verify: bool) -> None:
    """Keep the reports of complete tables, all if none is named, in results/, for the repository."""
    if verify:
        _verify(tables)
        return
    experiments = _load()
    reports.keep_tables(experiments, [experiments.table(table).name for table in tables])
    print(f"wrote {paths.RESULTS}/")


def _verify(tables: tuple[str, ...]) -> None:
    """Check kept tickets, and fail if one gives another accuracy than it should."""
    from slt_bench.run.verify import verify_results

    checks = []
    for check in verify_results(_load(), tables):
        print(check, flush=True)
        checks.append(check)
    wrong = [check for check in checks if check.kind == "differs"]
    compared = sum(check.kind in ("equal", "near") for check in checks)
    print(f"{compared} of {len(checks)} tickets give the accuracy that is kept with them")
    if wrong:
        raise BenchError(str(wrong[0]).removeprefix("✗ "))


@commands.command()
@click.argument("table", required=False, type=Name("table"))
def track(table: str | None) -> None:
    """Rebuild MLflow's view of the result files, without duplicates."""
    experiments = _load()
    requested: list[Experiment] = list(experiments.tables.values()) if table is None else [experiments.table(table)]
    for experiment in requested:
        reports.track_table(experiment, required=True)


@commands.command()
def schema() -> None:
    """Write the JSON schema of params.yaml for editors."""
    from slt_bench.common.files import write_text
    from slt_bench.experiment.load import schema

    write_text(paths.SCHEMA, schema())
    print(f"wrote {paths.SCHEMA}")


@commands.command()
def doctor() -> None:
    """Say what is there, what is missing, and how to fix it."""
    from slt_bench.doctor import examine

    findings = examine()
    for finding in findings:
        print(finding)
    if any(finding.fix for finding in findings):
        raise BenchError("fix what is marked with ✗, then run `slt-bench doctor` again")
