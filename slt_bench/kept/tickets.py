"""Tickets that are kept with a table: one of each line, so that anybody can check its accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import sha256
from slt_bench.kept.table import MADE, read_made
from slt_bench.records.checksums import TICKETS, recorded_digest
from slt_bench.records.result import Result
from slt_bench.report.results import TableResults

FOLDER = "tickets"
_MOST_BYTES = 10_000_000  # of all tickets in results/


def keep_tickets(results: TableResults, folder: Path) -> list[dict[str, Any]]:
    """Write the ticket of the first seed of every line that has one, with an entropy-coded mask, where a search found it.

    Trained weights are no ticket, and a random mask is drawn again from its seed in seconds. Of results that were restored
    without their tickets, those that are kept already are left; a line without any has none, and is named.

    Args:
        results: of the table.
        folder: where the files are written.

    Returns:
        A record of each: file, cell, accuracy, and the images that it was measured on.

    Raises:
        BenchError: a ticket is damaged, or not the one that the cell's result is of.
    """
    from slt_bench.ticket.file import read_ticket, save_ticket

    records, before = [], _kept_before(results.name)
    for line in results.lines:
        if not line.results or not line.cell.search.is_searched:
            continue
        for result in sorted(line.results, key=lambda result: result.cell.seed):
            if source := _ticket_of(result, before):
                path = folder / FOLDER / f"{result.cell.id}.safetensors"
                path.parent.mkdir(parents=True, exist_ok=True)
                save_ticket(read_ticket(source).ticket, path, "coded")
                records.append(_record(result, path))
                break
        else:
            print(f"note: no ticket of {line.cell.setting} is kept: its results were restored without one")
    return records


def _kept_before(table: str) -> dict[str, dict[str, Any]]:
    """Read the records of the tickets that a table keeps already, by cell."""
    folder = paths.RESULTS / table
    records = read_made(folder)["tickets"] if (folder / MADE).is_file() else []
    return {record["cell"]: record | {"file": folder / record["file"]} for record in records}


def _ticket_of(result: Result, before: Mapping[str, dict[str, Any]]) -> Path | None:
    """Find the ticket of a result: the cell's own, or of a restored result, which has none, one that is kept already."""
    own, kept = result.cell.directory / TICKETS[0], before.get(result.cell.id, {})
    if own.is_file() and sha256(own)[:12] != recorded_digest(result.cell.directory):
        raise BenchError(
            f"{own} is not the ticket that was evaluated: SHA256SUMS beside it has another digest; "
            f"`slt-bench run {result.cell.id}` makes it anew"
        )
    same = (kept.get("top1"), kept.get("digest")) == (result.metrics["top1"], result.record["data"]["digest"])
    return own if own.is_file() else kept["file"] if same else None


def _record(result: Result, path: Path) -> dict[str, Any]:
    data, metrics = result.record["data"], result.metrics
    return {
        "file": f"{FOLDER}/{path.name}", "cell": result.cell.id, "setting": result.cell.setting, "top1": metrics["top1"],
        "images": metrics["images"], "dataset": result.cell.dataset_name, "digest": data["digest"], "origin": data["origin"],
        "bytes": path.stat().st_size,
    }  # fmt: skip


def check_size(root: Path, name: str, fresh: Path) -> None:
    """Check that the tickets in results/ are small enough for a repository, before a table takes its place there.

    Args:
        root: results/.
        name: of the table.
        fresh: the folder that is to be the table's.

    Raises:
        BenchError: they are not.
    """
    kept = {folder.name: folder for folder in root.iterdir() if not folder.name.startswith(".")} | {name: fresh}
    sizes = {name: sum(path.stat().st_size for path in folder.glob(f"{FOLDER}/*")) for name, folder in kept.items()}
    if (size := sum(sizes.values())) > _MOST_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        raise BenchError(
            f"with {name} the tickets in {root} would take {size / 1e6:.2f} MB, more than {_MOST_BYTES / 1e6:.0f}: remove "
            f"{root}/TABLE of tables that matter less (the largest: {largest}, {sizes[largest] / 1e6:.2f} MB); "
            f"{name} is as it was"
        )
