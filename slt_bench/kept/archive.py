"""results/: reports of tables, small enough for the repository, and the part of README.md that lists them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import replaced, write_text
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.kept.cells import NAME as CELLS
from slt_bench.kept.cells import keep_cells, lost_cells
from slt_bench.kept.claims import PICTURE, draw_claims
from slt_bench.kept.table import MADE, kept_folders, last_date, read_kept
from slt_bench.kept.tickets import check_size, keep_tickets
from slt_bench.report.lines import shown_cells, shown_results
from slt_bench.report.results import TableResults, table_results
from slt_bench.report.rows import CLAIMS_NOTE, claim_row, claim_values, grid, line_rows
from slt_bench.report.table import markdown
from slt_bench.report.verdicts.claims import EXPLORATORY
from slt_bench.report.verdicts.statistics import UNKNOWN

_FIGURES = ("accuracy-size", "accuracy-coded-size", "accuracy-sparsity", "accuracy-freezing", "dying-sparsity")
_CLAIM_COLUMNS = ("claim", "of", "over", "effect", "n", "must exceed", "published", "verdict")
_BEGIN, _END = "<!-- begin: written by `slt-bench results` -->\n", "<!-- end -->"
_README = Path("README.md")
_LEGEND = (
    "Each table says below its claims what verdicts, looks and intervals are; † marks a published value from a secondary "
    "source. Code: a commit that is unknown or ends in + names none that one can fetch; the digest of each cell's code is in "
    "its table's cells.csv."
)
_IN_README = ("table", "what", "cells", "claims", "date")


def tables_to_keep(experiments: Experiments, names: list[str], partial: bool = False) -> list[TableResults]:
    """Read the results of the named tables, or of all that are complete if none is named.

    Args:
        experiments: all that params.yaml declares.
        names: of tables.
        partial: whether tables that have results, but not of all their cells, are kept too.

    Raises:
        BenchError: a named table is not complete, or has no result at all, or a result that is kept would be lost or may be.
    """
    tables = [table_results(experiments.table(name)) for name in names or experiments.tables]
    ready = [results for results in tables if (results.lines_with_results if partial else _is_complete(results))]
    missing = [results for results in tables if results not in ready]
    if names and missing:
        name, begun = missing[0].name, bool(missing[0].lines_with_results)
        keep = f", `slt-bench results {name} --partial` keeps those that there are" if begun else ""
        raise BenchError(f"table {name} has cells without a current result: `slt-bench run {name}` makes them{keep}")
    return [results for results in ready if _loses_nothing(results, bool(names))]


def _loses_nothing(results: TableResults, required: bool) -> bool:
    """Whether all results that are kept of a table are there; if not, an error where that is required, else a note."""
    lost, name = lost_cells(results), results.name
    if not lost:
        return True
    told = (
        f"{paths.RESULTS / name} keeps {len(lost)} results that outputs/ has not ({lost[0]}{', ...' if len(lost) > 1 else ''})"
    )
    mend = f"remove {paths.RESULTS / name}, if that is wanted"
    if (paths.RESULTS / name / CELLS).is_file():
        mend = f"`slt-bench results --restore {name}` brings them back, where no damaged ones lie, or {mend}"
    if required:
        raise BenchError(f"{told}, and they would be lost: {mend}")
    print(f"note: {name} is not kept anew: {told}. {mend}")
    return False


def _is_complete(results: TableResults) -> bool:
    return all(outcome.kind == "diverged" for line in results.lines for outcome in line.absent)


def archive(results: TableResults) -> None:
    """Copy the report of a table, which has just been written, into results/ with its provenance."""
    source = results.directory
    figures = [name for name in _FIGURES if (source / "figures" / f"{name}.svg").is_file()]
    images = "".join(f"\n![{name}]({name}.svg)\n" for name in figures)
    with replaced(paths.RESULTS / results.name) as target:
        write_text(target / "table.md", markdown(results) + images)
        for name in ("table.csv", "cells.csv"):
            write_text(target / name, (source / name).read_text(encoding="utf-8"))
        for figure in figures:
            write_text(target / f"{figure}.svg", (source / "figures" / f"{figure}.svg").read_text(encoding="utf-8"))
        keep_cells(results, target)
        summary = _summary(results) | {"tickets": keep_tickets(results, target)}
        write_text(target / MADE, json.dumps(summary, indent=1) + "\n")
        check_size(paths.RESULTS, results.name, target)


def _summary(results: TableResults) -> dict[str, Any]:
    """Collect when, on what and with which code a table was made, and what readers see of it."""
    records = [result.record for result in shown_results(results.lines)]
    machines = [record["environment"] for record in records]
    dataset = results.experiment.table.dataset
    return {
        "cells": len(records),
        "declared": len(shown_cells(results.lines)),
        "dates": sorted({record["finished"][:10] for record in records}),
        "hardware": _hardware(records),
        "torch": sorted({machine["libraries"]["torch"] for machine in machines}),
        "commits": sorted({record["commit"] for record in records}),
        "data": sorted({f"{dataset}: {record['data']['origin']}" for record in records}),
        "hours": round(sum(sum(record["epoch_seconds"]) for record in records) / 3600, 2),
        "title": results.title,
        "small": results.experiment.full_size is not None,
        "warnings": results.warnings,
        "lines": [
            {"setting": line.cell.setting, "row": row} for line, row in zip(results.lines, line_rows(results), strict=True)
        ],
        "notes": results.notes,
        "claims_note": CLAIMS_NOTE if results.claims else "",
        "claims": [claim_row(claim) | {"computed from": claim_values(claim)} for claim in results.claims],
    }


def _hardware(records: list[dict[str, Any]]) -> list[str]:
    """Name the machines; where there are several kinds, with the hours of processes on each."""
    seconds = dict[str, float]()
    for record in records:
        machine = record["environment"]
        name = f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores"
        seconds[name] = seconds.get(name, 0.0) + sum(record["epoch_seconds"])
    several = len(seconds) > 1
    return [f"{name} ({seconds[name] / 3600:.2f} hours)" if several else name for name in sorted(seconds)]


def list_archived(experiments: Experiments) -> None:
    """Write the lists of the tables in results/: its README.md, and a part of the project's."""
    made = {folder.name: read_kept(folder).made for folder in kept_folders(paths.RESULTS)}
    gone = sorted(made.keys() - experiments.tables.keys())  # kept as they came out, though no table is declared so any more
    tables = [*(table for table in experiments.tables if table in made), *gone]
    tables.sort(key=lambda table: bool(made[table].get("small")))  # what means something comes first
    summaries = {table: made[table] for table in tables}
    for table, summary in summaries.items():
        summary["title"] += _declared_otherwise(experiments.tables.get(table), summary)
    picture = f"\n![claims about accuracy]({PICTURE})\n" if draw_claims(summaries, paths.RESULTS / PICTURE) else ""
    write_text(paths.RESULTS / "README.md", f"# Results\n\n{_LEGEND}\n\n{_index(summaries, '')}{picture}\n{_claims(summaries)}")
    if not _README.is_file():  # a project of somebody's own
        return
    text = _README.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if begin and end:
        index = _index(summaries, f"{paths.RESULTS}/", _IN_README)
        write_text(_README, f"{before}{begin}\n{index}\n{end}{after}")


def _declared_otherwise(experiment: Experiment | None, summary: dict[str, Any]) -> str:
    """Say so where a table, or one of its claims, is not declared any more as it was when it was kept."""
    if experiment is None:
        return " (under an earlier declaration)"
    declared = {claim.text for claim in experiment.table.claims.values()}
    return "" if {claim["claim"] for claim in summary["claims"]} <= declared else " (with claims of an earlier declaration)"


def _index(summaries: dict[str, dict[str, Any]], root: str, columns: tuple[str, ...] | None = None) -> str:
    """List kept tables, each with a link from `root`; with all columns, or some."""
    rows = [
        {
            "table": f"[{table}]({root}{table}/table.md)",
            "what": summary["title"],
            "cells": _number_of_cells(summary),
            "claims": _counted([claim["verdict"] for claim in summary["claims"]]),
            "date": last_date(summary),
            "hardware": "; ".join(summary["hardware"]) + f", {summary['hours']:g} hours of one process",
            "code": " ".join(summary["commits"]),
            "data": "; ".join(summary["data"]),
        }
        for table, summary in summaries.items()
    ]
    return grid([{name: row[name] for name in columns or row} for row in rows]) + "\n"


def _number_of_cells(summary: dict[str, Any]) -> str:
    cells, declared = summary["cells"], summary["declared"]
    return str(cells) if cells >= declared else f"{cells} of {declared}"


def _counted(verdicts: list[str]) -> str:
    """Count the verdicts of each kind; what holds by construction is no finding, and what is exploratory no test."""
    found = Counter(verdict for verdict in verdicts if verdict != "by construction" and not verdict.startswith(EXPLORATORY))
    return ", ".join(f"{verdict}: {count}" for verdict, count in sorted(found.items())) or UNKNOWN


def _claims(summaries: dict[str, dict[str, Any]]) -> str:
    rows = [
        {"table": table} | {name: claim[name] for name in _CLAIM_COLUMNS}
        for table, summary in summaries.items()
        for claim in summary["claims"]
    ]
    return f"\n{grid(rows)}\n" if rows else ""
