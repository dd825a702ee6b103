"""Commands that show and keep what came out: tickets, tables, pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slt_bench.cli.group import commands, load
from slt_bench.cli.types import Name
from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.run.tables import reports

if TYPE_CHECKING:
    from slt_bench.experiment.experiments import Experiment


@commands.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--write", type=click.Path(path_type=Path), metavar="OUT", help="Write it again, in another form.")
@click.option(
    "--mask", type=click.Choice(["packed", "coded"]), help="With --write; coded: entropy-coded. As it is if left out."
)
@click.option(
    "--statistics", type=click.Choice(["float32", "float16"]), help="With --write; of the batch norms. As they are if left out."
)
@click.option("--plugin", "plugins", multiple=True, metavar="MODULE", help="Import a module that the ticket's network is from.")
@click.option("--on", "dataset", type=Name("dataset"), metavar="DATASET", help="Evaluate it on a dataset's test images too.")
def ticket(
    file: Path, write: Path | None, mask: str | None, statistics: str | None, plugins: tuple[str, ...], dataset: str | None
) -> None:
    """Verify a ticket file and show what is in it."""
    from slt_bench.common.plugins import import_plugin
    from slt_bench.ticket.describe import describe, forms
    from slt_bench.ticket.file import read_ticket, save_ticket

    if write is None and (mask or statistics):
        raise BenchError("--mask and --statistics say how a ticket is written: give --write OUT with them")
    if write is not None and (not write.name or write.is_dir() or not write.parent.is_dir()):
        raise BenchError(f"--write {write}: name a file, in a folder that is there")
    for plugin in plugins:
        import_plugin(plugin)
    ticket_file = read_ticket(file)
    print(describe(ticket_file))
    if write is not None:
        form = forms(file)
        save_ticket(ticket_file.ticket, write, mask or form[0], statistics or form[1])  # type: ignore[arg-type]  # click's choices
        print(f"wrote {write}: {read_ticket(write).size:,} bytes")
    if dataset is not None:
        from slt_bench.run.evaluate import measure_on

        print(measure_on(load(), ticket_file, dataset))


@commands.command()
@click.argument("table", required=False, type=Name("table"))
def report(table: str | None) -> None:
    """Write a table and its figures from the result files; without a table, of all, and a page of all."""
    experiments = load()
    if table is None:
        print(f"wrote {reports.report_all(experiments)}")
    else:
        print(reports.report_table(experiments.table(table)))


@commands.command()
@click.argument("tables", nargs=-1, metavar="[TABLE...]", type=Name("table"))
@click.option("--partial", is_flag=True, help="Keep tables that are not complete too; they say what is left out.")
@click.option(
    "--site",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write results/ as a static site into this folder, and nothing else.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Evaluate the tickets kept in results/ again; prepares images, and writes nothing else.",
)
@click.option("--restore", is_flag=True, help="Put the kept results of tables back into outputs/, without their tickets.")
def results(tables: tuple[str, ...], partial: bool, site: Path | None, verify: bool, restore: bool) -> None:
    """Keep the reports of complete tables, all if none is named, in results/, for the repository."""
    if sum(map(bool, (partial, site, verify, restore))) > 1 or (site and tables) or (restore and not tables):
        raise BenchError(
            "--partial and --verify go with names of tables alone, --restore needs some, and --site, which shows all that is "
            "kept, goes with nothing else"
        )
    if verify:
        _verify(tables)
        return
    if restore:
        experiments = load()
        for table in tables:
            print(reports.restore_table(experiments.table(table)))
        return
    if site:
        reports.write_results_site(site)
        print(f"wrote {site / 'index.html'}")
        return
    experiments = load()
    reports.keep_tables(experiments, [experiments.table(table).name for table in tables], partial)
    print(f"wrote {paths.RESULTS}/")


def _verify(tables: tuple[str, ...]) -> None:
    """Check kept tickets, and fail if one gives another accuracy than it should."""
    from slt_bench.run.tables.verify import verify_results

    checks = []
    for check in verify_results(load(), tables):
        print(check, flush=True)
        checks.append(check)
    wrong = [check for check in checks if check.kind == "differs"]
    compared = sum(check.kind in ("equal", "near") for check in checks)
    apart = sum(check.kind == "not compared" for check in checks)
    told = f"; {apart} were not compared, for the reasons above" if apart else ""
    print(f"{compared} of {len(checks)} tickets give the accuracy that is kept with them{told}")
    if wrong:
        raise BenchError(str(wrong[0]).removeprefix("✗ "))
    if not compared:
        raise BenchError(f"no ticket was compared: {checks[0].detail if checks else f'no table in {paths.RESULTS} keeps one'}")


@commands.command()
@click.argument("table", required=False, type=Name("table"))
def track(table: str | None) -> None:
    """Rebuild MLflow's view of the result files, without duplicates."""
    experiments = load()
    requested: list[Experiment] = list(experiments.tables.values()) if table is None else [experiments.table(table)]
    nothing = [experiment.name for experiment in requested if not reports.track_table(experiment, required=True)]
    if table in nothing:
        print(f"no cell of {table} has a result yet: `slt-bench run {table}` makes them")
    elif nothing:
        print(f"tables without a result, which have no experiment in MLflow: {len(nothing)}")
