"""A table in short, for the terminal: what came out of a run, what to mind, and where to read on."""

from __future__ import annotations

from slt_bench.report.results import TableResults
from slt_bench.report.rows import claim_sentence, grid, short_rows


def short_table(results: TableResults) -> str:
    """Write a table's title, lines, warnings and verdicts in short, and the path of its report."""
    parts = [results.title, grid(short_rows(results)), *results.warnings]
    if results.claims:
        parts.append("\n".join(map(claim_sentence, results.claims)))
    return "\n\n".join([*parts, f"report: {results.directory / 'report.html'}"])
