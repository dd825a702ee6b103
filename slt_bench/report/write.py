"""The report of a table, written whole: figures, page and table."""

from __future__ import annotations

from slt_bench.report.figures.draw import draw_figures
from slt_bench.report.page import write_page
from slt_bench.report.results import TableResults
from slt_bench.report.table import write_table


def write_report(results: TableResults) -> None:
    """Write all files of a table's report.

    Raises:
        BenchError: a file cannot be written.
    """
    figures = draw_figures(results.lines, results.title, results.directory)
    write_page([results], results.directory / "report.html")
    write_table(results, figures)
