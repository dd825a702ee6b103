"""results/: tables as they came out on a machine at hand, small enough for the repository, and what README.md shows of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tabulate import tabulate

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import replaced, write_text
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.report.claims import trials
from slt_bench.report.lines import Line, lines
from slt_bench.report.statistics import UNKNOWN
from slt_bench.report.table import claim_row

_FIGURES = ("accuracy-size", "accuracy-coded-size", "accuracy-sparsity", "accuracy-freezing", "dying-sparsity")
_BEGIN, _END = "<!-- begin: written by `slt-bench results` -->\n", "<!-- end -->"
_README = Path("README.md")


def complete(experiments: Experiments, tables: list[str]) -> list[tuple[Experiment, list[Line]]]:
    """The lines of tables, or, where none is named, of all that are complete.

    Raises:
        BenchError: a named table is not complete.
    """
    contents = {table: lines(experiments.table(table)) for table in tables or experiments.tables}
    found = [
        (experiments.tables[table], content)
        for table, content in contents.items()
        if all(each.kind == "diverged" for line in content for each in line.absent)
    ]
    if missing := [table for table in tables if table not in [experiment.name for experiment, _ in found]]:
        raise BenchError(f"table {missing[0]} has cells without a current result: `slt-bench run {missing[0]}` makes them")
    return found


def list_kept(experiments: Experiments) -> None:
    """List what is kept in results/, there and in README.md."""
    made = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(paths.RESULTS.glob("*/made.json"))
    }
    kept = {table: made[table] for table in experiments.tables if table in made}
    write_text(paths.RESULTS / "README.md", f"# Results\n\n{_index(kept, '')}\n{_claims(kept)}")
    text = _README.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if begin and end:
        write_text(_README, f"{before}{begin}\n{_index(kept, f'{paths.RESULTS}/')}\n{end}{after}")


def keep(experiment: Experiment, content: list[Line]) -> None:
    """Copy the report of a table, which has just been written, into results/ with what made it."""
    name, table = experiment.name, experiment.table
    source = paths.table_dir(name)
    text = (source / "table.md").read_text(encoding="utf-8")
    markdown = [line for line in text.splitlines(keepends=True) if not line.startswith("![")]
    figures = [name for name in _FIGURES if (source / "figures" / f"{name}.svg").is_file()]
    made = _made(content) | {"title": table.title, "small": experiment.full_size is not None}
    made["claims"] = [claim_row(each) for each in trials(table, content)]
    shown = "".join(f"\n![{name}]({name}.svg)\n" for name in figures)
    with replaced(paths.RESULTS / name) as target:
        write_text(target / "table.md", "".join(markdown).rstrip() + "\n" + shown)
        write_text(target / "table.csv", (source / "table.csv").read_text(encoding="utf-8"))
        for figure in figures:
            write_text(target / f"{figure}.svg", (source / "figures" / f"{figure}.svg").read_text(encoding="utf-8"))
        write_text(target / "made.json", json.dumps(made, indent=1) + "\n")


def _made(content: list[Line]) -> dict[str, Any]:
    """When, on what and with which code."""
    records = [result.record for line in content for result in line.results]
    machines = [record["environment"] for record in records]
    return {
        "cells": len(records),
        "dates": sorted({record["finished"][:10] for record in records}),
        "hardware": sorted({f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores" for machine in machines}),
        "torch": sorted({machine["libraries"]["torch"] for machine in machines}),
        "commits": sorted({record["commit"] for record in records}),
        "data": sorted(
            {f"{line.cell.dataset_name}: {result.record['data']['origin']}" for line in content for result in line.results}
        ),
        "hours": round(sum(sum(record["epoch_seconds"]) for record in records) / 3600, 2),
    }


def _index(kept: dict[str, dict[str, Any]], root: str) -> str:
    rows = [
        {
            "table": f"[{table}]({root}{table}/table.md)",
            "what": made["title"],
            "cells": made["cells"],
            "claims": _counted([claim["verdict"] for claim in made["claims"]]),
            "date": made["dates"][-1],
            "hardware": "; ".join(made["hardware"]) + f", {made['hours']:g} hours of one process",
            "code": " ".join(made["commits"]),
            "data": "; ".join(made["data"]),
        }
        for table, made in kept.items()
    ]
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True) + "\n"


def _counted(verdicts: list[str]) -> str:
    """How many of each."""
    return ", ".join(f"{verdict}: {count}" for verdict, count in sorted(Counter(verdicts).items())) or UNKNOWN


def _claims(kept: dict[str, dict[str, Any]]) -> str:
    shown = ("claim", "of", "over", "effect", "n", "must exceed", "published", "verdict")
    rows = [
        {"table": table} | {name: claim[name] for name in shown} for table, made in kept.items() for claim in made["claims"]
    ]
    return "\n" + tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True) + "\n" if rows else ""
