"""Commands that run things: cells, tables, data sets, laws; and those that look before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from slt_bench.cli.group import commands, load
from slt_bench.cli.types import Count, Devices, Handover, Hours, Name, Parameter, Rates
from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.params.machine import MOST_WORKERS
from slt_bench.run import cells

if TYPE_CHECKING:
    from slt_bench.experiment.experiments import Experiments

_MOST_JOBS = 1024
_jobs = click.option("--jobs", type=Count(_MOST_JOBS), metavar="N", help="Cells at a time; one a device or core if left out.")
_devices = click.option("--devices", type=Devices(), default=(), metavar="0,1", help="CUDA devices to use; all if left out.")
_afresh = click.option("--afresh", is_flag=True, help="Begin searches anew whose saved state is of other code or data.")


@commands.command()
def check() -> None:
    """Validate params.yaml, and try each network of one's own."""
    from slt_bench.run.networks import try_networks

    experiments = load()
    if wrong := try_networks(experiments):
        raise BenchError("\n".join(wrong))
    count = len(experiments.cells())
    print(f"{paths.PARAMS}: {len(experiments.tables)} tables, {count} cells, no mistake found")


@commands.command()
@click.argument("table", required=False, type=Name("table"))
def plan(table: str | None) -> None:
    """List what is done, stale and missing, and the time left: of each table, or of each cell of one."""
    from slt_bench.common.text import grouped
    from slt_bench.records.begun import begun
    from slt_bench.run.tables.announce import announcement, cell_summary, table_summary
    from slt_bench.run.tables.plan import plan

    experiments = load()
    tables = list(experiments.tables) if table is None else [experiments.table(table).name]
    planned = plan([cell for name in tables for cell in begun(experiments.tables[name]).cells])
    for name, entries in grouped(planned, lambda entry: entry.cell.table).items():
        print(table_summary(experiments.tables[name], entries))
        if table is not None:
            print("\n".join(f"  {cell_summary(entry)}" for entry in entries))
    print("\n".join(announcement(experiments, planned)))
    if table is not None:
        from slt_bench.run.tables.decide import describe_open

        for line in describe_open(experiments.table(table)):
            print(line)


@commands.command()
@click.argument("dataset", type=Name("dataset"))
def prepare(dataset: str) -> None:
    """Write the .beton files of a dataset."""
    from slt_bench.run.datasets import prepare_dataset

    prepare_dataset(load(), dataset)


@commands.command()
@click.argument("targets", required=True, nargs=-1, metavar="TARGET...", type=Name("table", "cell"))
@_jobs
@_devices
@click.option(
    "--executor", default="local", metavar="WHERE", help="Where cells run: local, tcp://HOST:PORT (dask), or module:function."
)
@click.option(
    "--workers", type=Count(MOST_WORKERS), metavar="N", help="Threads that load images, in place of those of params.yaml."
)
@_afresh
@click.option("--decide", is_flag=True, help="Run cells, of more seeds too, where open claims can be decided most cheaply.")
@click.option("--hours", type=Hours(), metavar="H", help="With --decide: for how long.")
def run(
    targets: tuple[str, ...],
    jobs: int | None,
    devices: list[str],
    executor: str,
    workers: int | None,
    afresh: bool,
    decide: bool,
    hours: float | None,
) -> None:
    """Run what is left of tables or cells, several at a time; of a table, DVC takes the results over."""
    if decide != (hours is not None):
        raise BenchError("--decide and --hours H belong together: cells are run for so long at most")
    from slt_bench.run.many import Places
    from slt_bench.run.tables.decide import decide_tables
    from slt_bench.run.tables.targets import run_targets

    places = Places(executor, jobs, tuple(devices))
    experiments = _with_machine(load(), workers, afresh)
    if hours is None:
        run_targets(experiments, targets, places)
    else:
        decide_tables(experiments, targets, hours, places)


@commands.command()
@click.argument("table", type=Name("table"))
@click.option("--rates", required=True, type=Rates(), metavar="0.1,0.3,1", help="Learning rates to try.")
@_jobs
@_devices
@_afresh
def rates(table: str, rates: list[float], jobs: int | None, devices: list[str], afresh: bool) -> None:
    """Try learning rates of a table's recipes at their own budgets, one seed, by validation."""
    from slt_bench.run.many import Places
    from slt_bench.run.tables.rates import try_rates

    try_rates(_with_machine(load(), None, afresh), table, rates, Places(jobs=jobs, devices=tuple(devices)))


def _with_machine(experiments: Experiments, workers: int | None, afresh: bool) -> Experiments:
    """Put what options ask for in the place of what params.yaml says of this machine."""
    changes: dict[str, Any] = ({"workers": workers} if workers is not None else {}) | ({"afresh": True} if afresh else {})
    machine = experiments.params.machine.model_copy(update=changes)
    return replace(experiments, params=experiments.params.model_copy(update={"machine": machine}))


@commands.command()
@click.argument("cell", type=Name("cell"))
@click.option("--given", "handover", type=Handover(), hidden=True)
def search(cell: str, handover: dict[str, Any] | None) -> None:
    """Run the search of one cell alone, unless it has a result; with torchrun, by several processes."""
    if handover is None:
        experiments = load()
        cells.search_if_needed(experiments.params.machine, experiments.cell(cell))
    else:  # the process that started this one may have read other parameters than today's
        cells.search_cell(handover["machine"], handover["cell"])


@commands.command("check-search")
@click.argument("search", metavar="FILE|KIND")
@click.option("--with", "parameters", type=Parameter(), multiple=True, metavar="KEY=VALUE", help="A parameter of the search.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where toy networks live; cpu if left out.")
def check_search(search: str, parameters: tuple[tuple[str, Any], ...], device: str) -> None:
    """Try the laws on a search: a Python file, module:Class, or a kind of params.yaml."""
    from slt_bench.compute.memory import prepare_to_compute
    from slt_bench.laws.check import check_search, find_searches

    prepare_to_compute()
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
    experiments = load()
    cells.evaluate_cell(experiments.params.machine, experiments.cell(cell))


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
