"""The files of a table for readers and machines: Markdown, LaTeX, CSV, and the metrics that DVC compares."""

from __future__ import annotations

import csv
import json
from io import StringIO
from statistics import mean
from typing import Any

from slt_bench.common.files import write_text
from slt_bench.common.text import grouped
from slt_bench.report.columns import KEPT, cell_columns, line_columns
from slt_bench.report.lines import Line
from slt_bench.report.results import TableResults
from slt_bench.report.rows import CLAIMS_NOTE, claim_row, grid, line_rows
from slt_bench.report.verdicts.statistics import deviation


def write_table(results: TableResults, figures: list[str]) -> None:
    """Write table.md, table.tex, table.csv, cells.csv and metrics.json of a table; table.md shows the figures of these names.

    From the cells of cells.csv every mean, interval and verdict of the others can be computed again.
    """
    directory = results.directory
    images = "".join(f"\n![{name}](figures/{name}.svg)\n" for name in figures)
    write_text(directory / "table.md", markdown(results) + images)
    write_text(directory / "table.tex", latex(results))
    write_text(directory / "table.csv", _csv(line_columns(results)))
    write_text(directory / "cells.csv", _csv([{name: row.get(name) for name in KEPT} for row in cell_columns(results)]))
    write_text(directory / "metrics.json", json.dumps(metrics(results), indent=1, ensure_ascii=False) + "\n")


def markdown(results: TableResults) -> str:
    """Write a table as Markdown: warnings, lines, claims and notes."""
    parts = [f"# {results.title}", *results.warnings, grid(line_rows(results))]
    if results.claims:
        parts += ["## Claims", grid([claim_row(claim) for claim in results.claims]), CLAIMS_NOTE]
    return "\n\n".join([*parts, *results.notes]) + "\n"


def latex(results: TableResults) -> str:
    """Write the lines of a table as LaTeX, after its warnings as comments."""
    comments = "".join(f"% {' '.join(warning.splitlines())}\n" for warning in results.warnings)
    return f"{comments}{grid(line_rows(results), 'latex_booktabs')}\n"


def metrics(results: TableResults) -> dict[str, dict[str, float]]:
    """Collect the numbers that `dvc metrics show` and `dvc metrics diff` show: one entry a line that has results."""
    several = len({line.cell.network_name for line in results.lines}) > 1
    named = grouped(results.lines_with_results, lambda line: _key(line, several))
    return {
        key if len(lines) == 1 else f"{key} [{line.cell.setting}]": _numbers(line)
        for key, lines in named.items()
        for line in lines
    }


def _key(line: Line, with_network: bool) -> str:
    label, source, sparsity = line.columns
    names = [line.cell.network_name] if with_network else []
    return ", ".join([*names, label, source, f"s = {sparsity}"])


def _numbers(line: Line) -> dict[str, float]:
    top1 = line.values("top1")
    spread = deviation(top1)
    numbers: dict[str, float] = {"top1": round(mean(top1), 4)}
    numbers |= {} if spread is None else {"top1_std": round(spread, 4)}
    return numbers | {"n": len(top1), "bytes": round(mean(line.values("bytes")))}


def _csv(rows: list[dict[str, Any]]) -> str:
    out = StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: None if value != value else value for name, value in row.items()} for row in rows)  # NaN: none
    return out.getvalue()
