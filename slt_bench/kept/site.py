"""results/ as a static site: an index of all tables and claims, and a page a table that links every number to its cells."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slt_bench.common.errors import BenchError
from slt_bench.common.files import replaced, write_text
from slt_bench.kept.claims import PICTURE
from slt_bench.kept.table import MADE, KeptTable, last_date
from slt_bench.report.html import pages

_MARK = "slt-bench-site"  # a file in every site: a folder without it is somebody's own
_SHOWN = ("seed", "state", "reason", "top1", "last_top1", "bytes", "coded_bytes", "dying_edge_ratio", "seconds", "identity",
          "code", "commit", "finished")  # fmt: skip  # columns of cells.csv that a page shows
_DECLARED = {"network", "method", "source", "sparsity", "published"}  # columns that no cell measured
_DIGITS = {"top1": 2, "last_top1": 2, "dying_edge_ratio": 4, "seconds": 0}  # of a number that a page rounds


def write_site(tables: Sequence[KeptTable], target: Path) -> None:
    """Write the site of kept tables; links are relative, so that any server of files will do, or none.

    Args:
        tables: kept ones.
        target: the site's folder, which is replaced whole.

    Raises:
        BenchError: the folder is there and is no site, or cannot be written.
    """
    if target.exists() and not (target / _MARK).is_file():
        raise BenchError(f"{target} is there and is no site of slt-bench: give a folder that does not exist yet")
    templates = pages("kept")
    tables = sorted(tables, key=lambda table: bool(table.made.get("small")))  # what means something comes first
    with replaced(target) as folder:
        write_text(folder / _MARK, "written by `slt-bench results --site`\n")
        for table in tables:
            shutil.copytree(table.folder, folder / table.name)
            page = templates.get_template("table.html").render(_table(table))
            write_text(folder / table.name / "index.html", page)
        for picture in {table.folder.with_name(PICTURE) for table in tables}:
            if picture.is_file():
                shutil.copy(picture, folder / PICTURE)
        index = templates.get_template("index.html").render(
            title="slt-bench: strong lottery tickets",
            tables=[_entry(table) for table in tables],
            picture=PICTURE if (folder / PICTURE).is_file() else "",
            claims=[claim | {"table": table.name} for table in tables for claim in table.made["claims"]],
        )
        write_text(folder / "index.html", index)


def _entry(table: KeptTable) -> dict[str, Any]:
    """Collect what the index says of a table."""
    made = table.made
    return {
        "name": table.name,
        "title": made["title"],
        "cells": made["cells"],
        "declared": made["declared"],
        "counts": sorted(Counter(claim["verdict"] for claim in made["claims"]).items()),
        "date": last_date(made),
        "hours": made["hours"],
        "hardware": "; ".join(made["hardware"]),
        "data": "; ".join(made["data"]),
        "tickets": len(table.tickets),
        "keeps_cells": bool(table.cells),
    }


def _table(table: KeptTable) -> dict[str, Any]:
    """Collect what the page of a table says."""
    lines = [
        {
            "id": setting,
            "cells": list(row.values()),
            "name": ", ".join(list(row.values())[:3]),
            "of": _cells(table, setting),
        }
        for setting, row in zip(table.settings, table.rows, strict=True)
    ]
    return {
        **_entry(table),
        "made": table.made,
        "warnings": table.warnings,
        "claims_note": table.claims_note,
        "notes": table.notes,
        "header": list(table.rows[0]),
        "unlinked": _DECLARED,
        "lines": lines,
        "shown": _SHOWN,
        "figures": table.figures,
        "files": [name for name in ("table.md", "table.csv", "cells.csv", MADE) if (table.folder / name).is_file()],
    }


def _cells(table: KeptTable, setting: str) -> list[dict[str, Any]]:
    return [
        {"values": [_shown(name, row.get(name, "")) for name in _SHOWN], "ticket": table.tickets.get(row["cell"])}
        for row in table.cells.get(setting, [])
    ]


def _shown(name: str, text: str) -> str:
    """Shorten what cells.csv holds in full: numbers, and a time to its day."""
    if name == "finished":
        return text[:10]
    return f"{float(text):.{_DIGITS[name]}f}" if name in _DIGITS and text else text
