"""Kept tickets put to the test: evaluated again from their files and the images at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.text import grouped
from slt_bench.compute.memory import prepare_to_compute
from slt_bench.experiment.experiments import Experiments
from slt_bench.kept.table import kept_folders, read_made
from slt_bench.run.datasets import prepare_dataset

if TYPE_CHECKING:
    from slt_bench.search.metrics import Metrics
    from slt_bench.ticket.file import TicketFile

_AT_ONCE = 8  # tickets that are evaluated together: the images are read once for them
_NEAR = 0.002  # share of the images that may be classified otherwise by another machine's arithmetic
_MARKS = {"equal": "✓", "near": "≈", "differs": "✗", "not compared": "-"}


@dataclass(frozen=True)
class Check:
    """What a kept ticket gave."""

    file: Path
    kind: Literal["equal", "near", "differs", "not compared"]
    detail: str

    def __str__(self) -> str:
        """Write it as a line."""
        detail = self.detail.removeprefix(f"{self.file} ").removesuffix(f" {self.file}")
        return f"{_MARKS[self.kind]} {self.file}: {detail}"


def verify_results(experiments: Experiments, tables: Sequence[str]) -> Iterator[Check]:
    """Evaluate the kept tickets of tables again, all if none is named; images that are at hand are prepared.

    Args:
        experiments: the datasets.
        tables: names of folders in results/.

    Yields:
        A check for each ticket.

    Raises:
        BenchError: a table is not kept, or keeps no tickets.
    """
    prepare_to_compute()
    for folder in [paths.RESULTS / table for table in tables] or kept_folders(paths.RESULTS):
        tickets = read_made(folder)["tickets"]
        if tables and not tickets:
            raise BenchError(f"{folder} keeps no tickets: none of its lines was searched")
        for name in dict.fromkeys(record["dataset"] for record in tickets):
            if not (paths.dataset_dir(name) / "manifest.json").is_file() and _is_at_hand(experiments, name):
                prepare_dataset(experiments, name)
        for first in range(0, len(tickets), _AT_ONCE):
            yield from _check(folder, tickets[first : first + _AT_ONCE])


def _is_at_hand(experiments: Experiments, name: str) -> bool:
    """Whether the images of a dataset are on this machine."""
    from slt_bench.data.sources.registry import is_at_hand

    return name in experiments.params.datasets and is_at_hand(experiments.params.datasets[name].images)


def _check(folder: Path, records: Sequence[dict[str, Any]]) -> list[Check]:
    """Evaluate tickets of a table, where the images of their records are at hand; those that see them alike, together."""
    from slt_bench.ticket.file import read_ticket

    found: dict[str, Check] = {}
    read: list[tuple[dict[str, Any], TicketFile]] = []
    for record in records:
        file = folder / record["file"]
        if reason := _not_at_hand(record):
            found[record["file"]] = Check(file, "not compared", reason)
            continue
        try:
            ticket = read_ticket(file)
        except BenchError as error:
            found[record["file"]] = Check(file, "differs", str(error))
            continue
        if (cell := ticket.ticket.spec.cell) != record["cell"]:
            found[record["file"]] = Check(file, "differs", f"expected the ticket of {record['cell']}, got that of {cell}")
        else:
            read.append((record, ticket))
    for group in grouped(read, lambda each: _seen(*each)).values():
        for record, outcome in zip([record for record, _ in group], _measured(group), strict=True):
            found[record["file"]] = _compared(folder / record["file"], record, outcome)
    return [found[record["file"]] for record in records]


def _not_at_hand(record: dict[str, Any]) -> str:
    """Say why the images of a ticket's record are not those that are prepared here; empty where they are."""
    from slt_bench.data.manifest import read_manifest

    directory = paths.dataset_dir(record["dataset"])
    try:
        manifest = read_manifest(directory)
    except BenchError as error:
        return str(error)
    if manifest.digest != record["digest"]:
        theirs = f"its record has {record['origin']} ({record['digest'][:12]})"
        return f"{directory} holds other images ({manifest.digest[:12]}): {theirs}"
    return ""


def _seen(record: dict[str, Any], file: TicketFile) -> str:
    """Write down which images a ticket's network sees, and how."""
    return repr((record["dataset"], file.ticket.spec.model_dump(include={"classes", "image_size", "resize", "mean", "std"})))


def _measured(group: Sequence[tuple[dict[str, Any], TicketFile]]) -> Sequence[Metrics | BenchError]:
    """Measure tickets that see the same images; what stands against one stands against all."""
    from slt_bench.run.evaluate import measure_tickets

    directory = paths.dataset_dir(group[0][0]["dataset"])
    try:
        return measure_tickets([file for _, file in group], directory, "it and its network")
    except BenchError as error:
        return [error] * len(group)


def _compared(file: Path, record: dict[str, Any], outcome: Metrics | BenchError) -> Check:
    """Compare what a ticket gave with its record."""
    if isinstance(outcome, BenchError):
        return Check(file, "differs", str(outcome))
    correct, images = outcome.correct, outcome.images
    expected = round(record["top1"] * record["images"] / 100)
    found = f"expected {expected:,} of {record['images']:,} images, got {correct:,} of {images:,}"
    if images != record["images"]:
        return Check(file, "differs", found)
    off = abs(correct - expected)
    if not off:
        return Check(file, "equal", f"{record['top1']:.2f} %, {correct:,} of {images:,} images")
    return Check(file, "near" if off <= _NEAR * images else "differs", f"{found}: {off:,} otherwise")
