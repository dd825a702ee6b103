"""What goes wrong with workers, and when to give up: refusals of jobs, and cells that lose their worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from slt_bench.common import paths
from slt_bench.experiment.cell import Cell

MOST_LOSSES = 3  # times that a cell may lose its worker without getting on
_MOST_REFUSALS = 10  # in a row, and twice of every job that is out, after which no worker is expected to take one


class Refusals:
    """Refusals by workers that have other code, libraries, parameters or images than the head."""

    def __init__(self) -> None:
        """Start without any."""
        self.reasons: dict[str, str] = {}  # by worker
        self.counts = Counter[int]()  # by the number of the job, since a worker took one

    def add(self, number: int, worker: str, reason: str) -> bool:
        """Note that a worker has refused a job; returns whether the worker has not given this reason before."""
        self.counts[number] += 1
        is_news = self.reasons.get(worker) != reason
        self.reasons[worker] = reason
        return is_news

    def end_row(self) -> None:
        """Note that a worker has taken a job."""
        self.counts.clear()

    def are_by_all(self, jobs_out: Iterable[int]) -> bool:
        """Whether no worker is expected to take a job: one that was not refused again may be with one that says nothing.

        Args:
            jobs_out: numbers of the jobs that are handed out, this one among them.
        """
        return self.counts.total() >= _MOST_REFUSALS and all(self.counts[number] > 1 for number in jobs_out)


class Losses:
    """How often cells have lost their worker since they got on last."""

    def __init__(self) -> None:
        """Start without any."""
        self.last: dict[tuple[str, str], tuple[int, object]] = {}  # by table and cell: how often, and how far it was then

    def add(self, cell: Cell) -> int:
        """Note that a cell has lost its worker; returns how many times it has without getting on."""
        how_far, (times, before) = _how_far(cell), self.last.get((cell.table, cell.id), (0, None))
        times = times + 1 if how_far == before else 1
        self.last[cell.table, cell.id] = (times, how_far)
        return times


def _how_far(cell: Cell) -> object:
    """Return what changes when the search of a cell gets on: the times of its checkpoints, as far as this machine sees them."""
    directory = paths.state_dir(cell.id, cell.identity)
    times = set()
    for file in directory.glob("*.pt"):
        with suppress(FileNotFoundError):  # it is being replaced
            times.add((file.name, file.stat().st_mtime_ns))
    return times
