"""Kept tickets put to the test: evaluated again from their files and the images at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.experiments import Experiments
from slt_bench.kept.table import kept_folders, read_made
from slt_bench.run.datasets import prepare_dataset

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
    for folder in [paths.RESULTS / table for table in tables] or kept_folders(paths.RESULTS):
        tickets = read_made(folder)["tickets"]
        if tables and not tickets:
            raise BenchError(f"{folder} keeps no tickets: none of its lines was searched")
        for name in dict.fromkeys(record["dataset"] for record in tickets):
            if not (paths.dataset_dir(name) / "manifest.json").is_file() and _is_at_hand(experiments, name):
                prepare_dataset(experiments, name)
        for record in tickets:
            yield _check(folder / record["file"], record)


def _is_at_hand(experiments: Experiments, name: str) -> bool:
    """Whether the images of a dataset are on this machine."""
    from slt_bench.data.sources.registry import is_at_hand

    return name in experiments.params.datasets and is_at_hand(experiments.params.datasets[name].images)


def _check(file: Path, record: dict[str, Any]) -> Check:
    """Evaluate one ticket, where the images of its record are at hand."""
    from slt_bench.data.manifest import read_manifest
    from slt_bench.run.evaluate import measure_tickets
    from slt_bench.ticket.file import read_ticket

    directory = paths.dataset_dir(record["dataset"])
    try:
        manifest = read_manifest(directory)
    except BenchError as error:
        return Check(file, "not compared", str(error))
    if manifest.digest != record["digest"]:
        theirs = f"its record has {record['origin']} ({record['digest'][:12]})"
        return Check(file, "not compared", f"{directory} holds other images ({manifest.digest[:12]}): {theirs}")
    try:
        (metrics,) = measure_tickets([read_ticket(file)], directory, "it and its network")
    except BenchError as error:
        return Check(file, "differs", str(error))
    correct, images = round(metrics.top1 * metrics.images / 100), metrics.images
    expected = round(record["top1"] * record["images"] / 100)
    found = f"expected {expected:,} of {record['images']:,} images, got {correct:,} of {images:,}"
    if images != record["images"]:
        return Check(file, "differs", found)
    off = abs(correct - expected)
    if not off:
        return Check(file, "equal", f"{record['top1']:.2f} %, {correct:,} of {images:,} images")
    return Check(file, "near" if off <= _NEAR * images else "differs", f"{found}: {off:,} otherwise")
