"""A kept table as one value, read from its folder in results/."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slt_bench.common.errors import BenchError
from slt_bench.common.text import grouped
from slt_bench.kept.made import check_made
from slt_bench.report.rows import Row
from slt_bench.report.verdicts.statistics import UNKNOWN

MADE = "made.json"
_CELLS = "cells.csv"
_NUMBERS = ("top1", "last_top1", "dying_edge_ratio", "seconds")  # columns of cells.csv that readers see rounded
_OF_A_CELL = {"cell", "setting", "shown", "state"}  # columns of cells.csv without which it means nothing
_ENDED = {"done", "stale", "diverged"}  # states in cells.csv of cells that have a result
_OF_A_TICKET = {"file", "cell", "top1", "images", "dataset", "digest", "origin"}  # keys of a ticket's record


@dataclass(frozen=True)
class KeptTable:
    """What is kept of a table: its lines as readers see them, its claims, and the values of its cells."""

    folder: Path
    made: dict[str, Any]  # when, on what and with which code it was made, its claims, and its tickets
    warnings: list[str]  # to stand above the table
    claims_note: str  # how its claims were tested; empty where it has none
    notes: list[str]  # to stand below it
    rows: list[Row]  # one a line
    settings: list[str]  # of the lines
    cells: dict[str, list[Row]]  # a row each, by settings; none where a table was kept without them
    figures: list[str]  # names of files

    @property
    def name(self) -> str:
        """The table's name in params.yaml."""
        return self.folder.name

    @property
    def tickets(self) -> dict[str, str]:
        """The files of the kept tickets, relative to the folder, by the ids of their cells."""
        return {record["cell"]: record["file"] for record in self.made["tickets"]}


def kept_folders(root: Path) -> list[Path]:
    """List the folders of the tables that are kept in a folder, in the order of their names; a hidden one was not finished."""
    return sorted(path.parent for path in root.glob(f"[!.]*/{MADE}"))


def last_date(made: dict[str, Any]) -> str:
    """Return the day on which a kept table's last cell was made; unknown where all have diverged."""
    return str(made["dates"][-1]) if made["dates"] else UNKNOWN


def read_made(folder: Path) -> dict[str, Any]:
    """Read how a kept table was made, and what is said of its tickets; what older tables lack is filled in.

    Raises:
        BenchError: it is missing or damaged.
    """
    try:
        made = dict(json.loads((folder / MADE).read_text(encoding="utf-8")))
        records = made.setdefault("tickets", [])
        made.setdefault("declared", made.get("cells"))
        if missing := sorted({name for record in records for name in _OF_A_TICKET - dict(record).keys()}):
            raise LookupError(f"a ticket's record lacks {', '.join(missing)}")
    except FileNotFoundError:
        raise BenchError(f"{folder} is no kept table: it has no {MADE}") from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BenchError(f"{folder / MADE} is damaged: {type(error).__name__}: {error}") from None
    return made


def kept_tables(root: Path) -> list[KeptTable]:
    """Read all tables that are kept in a folder, in the order of their names.

    Raises:
        BenchError: none is, or one is damaged.
    """
    folders = kept_folders(root)
    if not folders:
        raise BenchError(f"{root}/ keeps no table: `slt-bench results` keeps those that are complete")
    return [read_kept(folder) for folder in folders]


def read_kept(folder: Path) -> KeptTable:
    """Read a kept table.

    Raises:
        BenchError: a file is missing or damaged.
    """
    made = read_made(folder)
    try:
        check_made(made)
        return KeptTable(
            folder=folder,
            made=made,
            warnings=made["warnings"],
            claims_note=made["claims_note"],
            notes=made["notes"],
            rows=[line["row"] for line in made["lines"]],
            settings=[line["setting"] for line in made["lines"]],
            cells=_shown_cells(folder, made) if (folder / _CELLS).is_file() else {},
            figures=sorted(path.name for path in folder.glob("*.svg")),
        )
    except (OSError, ValueError, csv.Error) as error:
        raise BenchError(
            f"{folder} is no kept table: {error}; bring it back, or `slt-bench results {folder.name}` keeps it anew"
        ) from None


def kept_cells(folder: Path) -> set[str]:
    """Read the ids of the cells whose results a kept table is made of, those that diverged among them.

    Raises:
        BenchError: the list of its cells is missing, damaged or cut off.
    """
    try:
        return {row["cell"] for row in _cell_rows(folder, read_made(folder)) if row["state"] in _ENDED}
    except (OSError, ValueError, LookupError, csv.Error, BenchError) as error:
        raise BenchError(
            f"{folder / _CELLS} cannot be read: {type(error).__name__}: {error}, so that what would be lost is not known: "
            f"bring it back, or remove {folder}"
        ) from None


def _shown_cells(folder: Path, made: dict[str, Any]) -> dict[str, list[Row]]:
    """Read the cells that lines show, by their settings."""
    shown = [row for row in _cell_rows(folder, made) if row["shown"] == "True"]
    for row in shown:
        for name in _NUMBERS:
            float(row.get(name) or "nan")
    return grouped(shown, lambda row: row["setting"])


def _cell_rows(folder: Path, made: dict[str, Any]) -> list[Row]:
    """Read cells.csv: as many whole rows as the table has cells, and those that no line shows, as a parent may be."""
    with (folder / _CELLS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    whole = all(None not in row and None not in row.values() and row.keys() >= _OF_A_CELL for row in rows)
    if not whole or sum(row["shown"] == "True" for row in rows) != made["declared"]:
        raise ValueError(f"{_CELLS} has not the {made['declared']} whole rows that {MADE} tells of")
    return rows
