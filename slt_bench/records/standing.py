"""Where a cell stands: what its result files say, and whether they are of today's parameters, images, ticket and code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.records.checksums import NAME as CHECKSUMS
from slt_bench.records.checksums import OF_A_SEARCH, TICKETS, damaged_files
from slt_bench.records.code_digest import cell_code
from slt_bench.records.provenance import parent_digest

CODE = "code"


@dataclass(frozen=True)
class Standing:
    """Whether a cell has a result, and if that is not to be used, why."""

    kind: Literal["missing", "done", "diverged", "stale"]
    reason: str = ""  # why it diverged, or what makes it stale
    record: dict[str, Any] | None = None  # of the search, where there is one
    others: tuple[str, ...] = ()  # of a stale result: what it was made with that is not today's

    @property
    def is_result(self) -> bool:
        """Whether there is nothing left to do: a search that diverged would do so again."""
        return self.kind in ("done", "diverged")

    @property
    def is_comparable(self) -> bool:
        """Whether its numbers may stand beside others: all is as today, but perhaps for the code."""
        return self.kind == "done" or (self.kind == "stale" and self.others == (CODE,))


def standing(cell: Cell, images: str | None, evaluated: bool = True, directory: Path | None = None) -> Standing:
    """Look at the files of a cell.

    Args:
        cell: whose they are.
        images: digest of the prepared dataset; None, where it is not prepared, is not compared.
        evaluated: whether the test metrics must be there too, or the search is all that is asked about.
        directory: where the files lie, if that is not the cell's own directory.
    """
    directory = directory or cell.directory
    record = _json(directory / "search.json")
    if record is None or (evaluated and not (directory / CHECKSUMS).is_file()):
        return Standing("missing")
    try:
        made = {"parameters": record["identity"], "images": images and record["data"]["digest"],
                "ticket of its parent": record.get("parent") or "", CODE: record["code"]}  # fmt: skip
    except (KeyError, TypeError):
        return Standing("stale", "its search.json is damaged", None, ("record",))
    today = {"parameters": cell.identity, "images": images, "ticket of its parent": parent_digest(cell.parent_directory)}
    today[CODE] = cell_code()
    diverged = record.get("diverged")
    others = tuple(name for name in made if made[name] != today[name])
    others += tuple(name for name in TICKETS if not diverged and not (directory / name).is_file())
    damaged = damaged_files(directory, tickets=False) if evaluated else []
    if damaged and others in ((), (CODE,)):
        return _damaged(record, damaged)
    if others:
        return Standing("stale", _told(others), record, others)
    return Standing("diverged", diverged, record) if diverged else Standing("done", "", record)


def _damaged(record: dict[str, Any] | None, names: list[str]) -> Standing:
    return Standing("stale", f"damaged: {' and '.join(names)}", record, tuple(names))


def _told(others: tuple[str, ...]) -> str:
    other = [name for name in others if name not in TICKETS]
    gone = [f"without its {name}" for name in others if name in TICKETS]
    return ", ".join(([f"of other {' and '.join(other)}"] if other else []) + gone)


def divergence(directory: Path, identity: str) -> str | None:
    """Say why the search of a cell with these parameters diverged; None if it did not."""
    record = _json(directory / "search.json") or {}
    reason = record.get("diverged")
    return str(reason) if reason and record.get("identity") == identity else None


def is_done(cell: Cell) -> bool:
    """Whether nothing is left to do for a cell with this code, on these images and, where it has one, its parent's ticket.

    Raises:
        BenchError: its dataset is not prepared.
    """
    return standing(cell, digest_of(cell)).is_result and not damaged_files(cell.directory)


def search_standing(cell: Cell) -> Standing:
    """Where the search of a cell stands, evaluated or not; a file that was damaged since makes it stale.

    Raises:
        BenchError: its dataset is not prepared.
    """
    stands = standing(cell, digest_of(cell), evaluated=False)
    damaged = [name for name in damaged_files(cell.directory) if name in OF_A_SEARCH]
    return _damaged(stands.record, damaged) if stands.is_result and damaged else stands


def digest_of(cell: Cell) -> str:
    """Digest of the prepared images of a cell.

    Raises:
        BenchError: they are not prepared.
    """
    from slt_bench.data.manifest import read_manifest

    return read_manifest(paths.dataset_dir(cell.dataset_name)).digest


def prepared_images(cells: list[Cell]) -> dict[str, str | None]:
    """Dataset -> digest of its prepared images, None where they are not prepared; of the datasets of these cells."""
    found: dict[str, str | None] = {}
    for cell in cells:
        if cell.dataset_name not in found:
            try:
                found[cell.dataset_name] = digest_of(cell)
            except BenchError as damage:
                found[cell.dataset_name] = None
                if (paths.dataset_dir(cell.dataset_name) / "manifest.json").exists():
                    print(f"note: results are compared with each other alone: {damage}")
    return found


def _json(path: Path) -> dict[str, Any] | None:
    """A file of ours, written whole; None where it is not there, an empty record where it is no longer one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
