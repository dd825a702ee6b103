"""The standing of a cell: done, diverged, stale or missing, by its result files and what they were made with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.records.checksums import NAME as CHECKSUMS
from slt_bench.records.checksums import OF_A_SEARCH, TICKETS, damaged_files, recorded_digest
from slt_bench.records.code_digest import cell_code
from slt_bench.records.provenance import parent_digest

CODE = "code"
_PARENT, _PARENT_TICKET = "ticket of its parent", "parent's ticket"
_GONE = (*TICKETS, _PARENT_TICKET)  # files that a result may lack and be compared none the less


@dataclass(frozen=True)
class Standing:
    """Whether a cell has a result that holds today, and if not, the reason."""

    kind: Literal["missing", "done", "diverged", "stale"]
    reason: str = ""  # why it diverged, or what makes it stale
    record: dict[str, Any] | None = None  # of the search, if it has run
    differences: tuple[str, ...] = ()  # of a stale result: what differs from today's, and files that are missing or damaged

    @property
    def is_result(self) -> bool:
        """Whether there is nothing left to do: a search that diverged would do so again."""
        return self.kind in ("done", "diverged")

    @property
    def is_comparable(self) -> bool:
        """Whether the result may be compared: nothing but the code differs from today's, and nothing but tickets is gone."""
        return self.kind == "done" or (self.kind == "stale" and set(self.differences) <= {CODE, *_GONE})

    @property
    def lacks_tickets(self) -> bool:
        """Whether the result may be compared, but is without tickets, as one that was restored."""
        return self.is_comparable and bool(set(self.differences) & set(TICKETS))

    @property
    def is_of_other_code(self) -> bool:
        """Whether the result was made with other code than today's."""
        return CODE in self.differences


def cell_standing(
    cell: Cell, images: str | None, evaluated: bool = True, directory: Path | None = None, tickets: bool = False
) -> Standing:
    """Find out from the result files of a cell where it stands.

    Args:
        cell: the cell.
        images: digest of the prepared dataset; None, where it is not prepared, accepts all images.
        evaluated: whether the test metrics must exist too; if not, the search alone is looked at.
        directory: of the files; the cell's own if None.
        tickets: whether damage to the tickets is looked for too; they may be large.
    """
    directory = directory or cell.directory
    record = _json(directory / "search.json")
    if record is None or (evaluated and not (directory / CHECKSUMS).is_file()):
        return Standing("missing")
    try:
        recorded = {"parameters": record["identity"], "images": images and record["data"]["digest"],
                    _PARENT: record.get("parent") or "", CODE: record["code"]}  # fmt: skip
    except (KeyError, TypeError):
        return Standing("stale", "its search.json is damaged", None, ("record",))
    today = {
        "parameters": cell.identity,
        "images": images,
        _PARENT: parent_digest(cell.parent_directory),
        CODE: cell_code(cell),
    }
    diverged = record.get("diverged")
    differences = tuple(name for name in recorded if recorded[name] != today[name])
    if today[_PARENT] == "missing" and recorded[_PARENT] == recorded_digest(cell.parent_directory):
        differences = (*(name for name in differences if name != _PARENT), _PARENT_TICKET)
    differences += tuple(name for name in TICKETS if not diverged and not (directory / name).is_file())
    damaged = [name for name in damaged_files(directory, tickets) if name not in differences]
    damaged = [name for name in damaged if evaluated or name in OF_A_SEARCH]
    record = None if "search.json" in damaged else record  # there may be anything in it
    if damaged and set(differences) <= {CODE, *_GONE}:
        return Standing("stale", f"damaged: {' and '.join(damaged)}", record, tuple(damaged))
    if differences:
        return Standing("stale", _described(differences), record, differences)
    return Standing("diverged", diverged, record) if diverged else Standing("done", "", record)


def _described(differences: tuple[str, ...]) -> str:
    changed = [name for name in differences if name not in _GONE]
    missing = [f"without its {name}" for name in differences if name in _GONE]
    return ", ".join(([f"of other {' and '.join(changed)}"] if changed else []) + missing)


def gives_ticket(parent: Cell) -> bool:
    """Whether a cell has the ticket that its children take their roles from, or has diverged and will have none."""
    standing = cell_standing(parent, None, evaluated=False)
    return standing.kind != "missing" and not {"parameters", "record", TICKETS[0]} & set(standing.differences)


def divergence(directory: Path, identity: str) -> str | None:
    """Return the reason why the search of these parameters diverged; None if it did not.

    Args:
        directory: the cell's.
        identity: of the parameters.
    """
    record = _json(directory / "search.json") or {}
    reason = record.get("diverged")
    return str(reason) if reason and record.get("identity") == identity else None


def is_done(cell: Cell, images: str | None = None) -> bool:
    """Whether a cell has an undamaged result of today's parameters, code, images and parent ticket.

    Args:
        cell: the cell.
        images: digest of the prepared dataset, if it has been read; a manifest may list a million images.

    Raises:
        BenchError: its dataset is not prepared.
    """
    return cell_standing(cell, images or digest_of(cell), tickets=True).is_result


def search_standing(cell: Cell) -> Standing:
    """Find out where the search of a cell stands, evaluated or not; damage to one of its files makes it stale.

    Raises:
        BenchError: its dataset is not prepared.
    """
    return cell_standing(cell, digest_of(cell), evaluated=False, tickets=True)


def digest_of(cell: Cell) -> str:
    """Return the digest of the prepared images of a cell.

    Raises:
        BenchError: they are not prepared.
    """
    from slt_bench.data.manifest import read_manifest

    return read_manifest(paths.dataset_dir(cell.dataset_name)).digest


def image_digests(cells: Iterable[Cell]) -> dict[str, str]:
    """Read the digests of the prepared images of these cells' datasets, by dataset.

    Raises:
        BenchError: a dataset is not prepared.
    """
    return {name: digest_of(cell) for name, cell in {cell.dataset_name: cell for cell in cells}.items()}


def prepared_images(cells: Iterable[Cell]) -> dict[str, str | None]:
    """Look up the digests of the prepared images of these cells' datasets, by dataset; None where they are not prepared."""
    digests: dict[str, str | None] = {}
    for cell in cells:
        if cell.dataset_name not in digests:
            try:
                digests[cell.dataset_name] = digest_of(cell)
            except BenchError as damage:
                digests[cell.dataset_name] = None
                if (paths.dataset_dir(cell.dataset_name) / "manifest.json").exists():
                    print(f"note: results are compared with each other alone: {damage}")
    return digests


def _json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None if the file is missing, and an empty object if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
