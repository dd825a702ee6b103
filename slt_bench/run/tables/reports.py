"""Reports behind commands and stages: tables and pages written, kept, shown and brought into MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slt_bench.common import paths
from slt_bench.common.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from slt_bench.experiment.cell import Cell
    from slt_bench.experiment.experiments import Experiment, Experiments
    from slt_bench.records.result import Result
    from slt_bench.report.results import TableResults


def report_table(experiment: Experiment) -> str:
    """Write the files of a table's report; returns its Markdown."""
    from slt_bench.report.table import markdown

    return markdown(_write_report(experiment))


def show_table(experiment: Experiment) -> None:
    """Write the files of a table's report, bring MLflow up to date, and print the table in short with where to read on."""
    from slt_bench.report.terminal import short_table

    results = _write_report(experiment)
    print(short_table(results), flush=True)
    track_results(results.name, results.results, cells=experiment.all_cells)


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


def keep_tables(experiments: Experiments, tables: list[str], partial: bool = False) -> None:
    """Report tables, all that are complete if none is named, and copy the reports into results/.

    Args:
        experiments: all that params.yaml declares.
        tables: their names.
        partial: whether tables that are not complete are kept too; their reports say what is left out.

    Raises:
        BenchError: a named table is not complete, or has no result at all.
    """
    from slt_bench.kept.archive import archive, list_archived, tables_to_keep
    from slt_bench.report.write import write_report

    for results in tables_to_keep(experiments, tables, partial):
        write_report(results)
        archive(results)
    list_archived(experiments)


def restore_table(experiment: Experiment) -> str:
    """Put the kept results of a table's cells back into outputs/, and say how many there were.

    Raises:
        BenchError: the table is not kept, or without its cells, or the archive is damaged.
    """
    from slt_bench.kept.cells import restore_cells

    name = experiment.name
    restored, gone = restore_cells(experiment)
    told = f"; {len(gone)} are left out, of cells that it declares no more" if gone else ""
    rest = f"`slt-bench report {name}` shows them; `slt-bench run {name}` makes these cells anew"
    if experiment.table.claims:
        rest += ", with `--decide --hours 1` it goes on from them, where claims are open"
    there = sum(cell.directory.exists() for cell in experiment.cells if cell not in restored)
    rest += f"; what {there} other folders held was left as it is" if there else ""
    return f"{name}: {len(restored)} results are in {paths.cells_dir(name)} again, without their tickets{told}. {rest}"


def write_results_site(target: Path) -> None:
    """Write the tables in results/ as a static site.

    Raises:
        BenchError: results/ keeps no table, or the folder is there and is no site.
    """
    from slt_bench.kept.site import write_site
    from slt_bench.kept.table import kept_tables

    write_site(kept_tables(paths.RESULTS), target)


def track_table(experiment: Experiment, required: bool = False) -> bool:
    """Bring a table's MLflow experiment up to date and print where to see it; returns whether there is anything to see.

    Args:
        experiment: the table.
        required: whether a store that cannot be used is a failure; if not, a note says so.

    Raises:
        BenchError: as `track`, where that is required.
    """
    from slt_bench.report.results import table_results

    results = table_results(experiment)
    return track_results(results.name, results.results, required, experiment.all_cells)


def track_results(table: str, results: Sequence[Result], required: bool = False, cells: Collection[Cell] | None = None) -> bool:
    """Bring an MLflow experiment up to date with results, as `track` and `track_table` do."""
    from slt_bench.common.errors import Interrupted
    from slt_bench.tracking.runs import track
    from slt_bench.tracking.view import how_to_compare

    try:
        tracked = track(table, results, cells=cells)
    except BenchError as error:
        if required or isinstance(error, Interrupted):
            raise
        print(f"note: {error}")
        return False
    if tracked is None:
        return False
    experiment_id, written = tracked
    print(f"MLflow: {written} runs written for {table}. Compare: {how_to_compare(experiment_id)}")
    return True
