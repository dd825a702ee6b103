"""A kept table as one value, read from its folder in results/."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slt_bench.common.errors import BenchError
from slt_bench.common.text import grouped
from slt_bench.report.rows import Row
from slt_bench.report.verdicts.statistics import UNKNOWN

MADE = "made.json"
_NEEDED = {"title", "cells", "dates", "hours", "hardware", "data", "warnings", "lines", "notes", "claims_note",
           "claims"}  # fmt: skip  # keys of it
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
    cells, made = folder / "cells.csv", read_made(folder)
    try:
        if missing := sorted(_NEEDED - made.keys()):
            raise LookupError(f"{MADE} lacks {', '.join(missing)}; `slt-bench results {folder.name}` keeps it anew")
        return KeptTable(
            folder=folder,
            made=made,
            warnings=made["warnings"],
            claims_note=made["claims_note"],
            notes=made["notes"],
            rows=[line["row"] for line in made["lines"]],
            settings=[line["setting"] for line in made["lines"]],
            cells=_read_cells(cells) if cells.is_file() else {},
            figures=sorted(path.name for path in folder.glob("*.svg")),
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BenchError(f"{folder} is no kept table: {type(error).__name__}: {error}") from None


def kept_cells(folder: Path) -> set[str]:
    """Read the ids of the cells whose results a kept table is made of, those that diverged among them.

    Raises:
        BenchError: the list of its cells is missing, damaged or cut off.
    """
    file = folder / "cells.csv"
    try:
        rows, declared = _read_csv(file), read_made(folder)["declared"]
        if sum(row["shown"] == "True" for row in rows) != declared or any(None in row.values() for row in rows):
            raise ValueError(f"it has not the {declared} whole rows that {MADE} tells of")
        return {row["cell"] for row in rows if row["state"] in _ENDED}
    except (OSError, ValueError, LookupError, csv.Error, BenchError) as error:
        raise BenchError(
            f"{file} cannot be read: {type(error).__name__}: {error}, so that what would be lost is not known: bring it back, "
            f"or remove {folder}"
        ) from None


def _read_csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _read_cells(path: Path) -> dict[str, list[Row]]:
    """Read the cells that lines show, by their settings."""
    return grouped((row for row in _read_csv(path) if row["shown"] == "True"), lambda row: row["setting"])
