"""Many cells at a time: where they run, what of them is left, and the jobs that are made of it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.compute.devices import cells_at_a_time, check_devices, cores, visible_devices
from slt_bench.engine.executors import LOCAL, opened
from slt_bench.engine.head import Failure, run_jobs
from slt_bench.engine.job import Work, make_jobs
from slt_bench.engine.progress import Progress
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.records.standing import image_digests, is_done
from slt_bench.run.cells import run_cell
from slt_bench.run.datasets import prepare_on_worker

WORK = Work(run_cell, prepare_on_worker, "slt_bench.run.warm")


@dataclass(frozen=True)
class Places:
    """Where cells run: the executor, and on this machine how many at a time and on which devices."""

    executor: str = LOCAL
    jobs: int | None = None  # None: one a device or core
    devices: Sequence[str] = ()  # CUDA devices; empty: all that are visible

    def __post_init__(self) -> None:
        """Refuse what only this machine's executor can do, where another is asked for.

        Raises:
            BenchError: there is a number of jobs or a list of devices.
        """
        if self.executor != LOCAL and (self.jobs is not None or self.devices):
            raise BenchError(f"--jobs and --devices are for this machine; the workers of {self.executor} have their own")


def chosen(machine: Machine, places: Places) -> Places:
    """Choose how many cells run at a time on this machine and on which devices, as far as the user has not said so.

    Searches of several processes run one after another: each has all devices to itself.

    Raises:
        BenchError: a device that the user names is not there.
    """
    check_devices(places.devices)
    if places.executor != LOCAL:
        return places
    if machine.processes > 1 and places.jobs in (None, 1) and not places.devices:
        return replace(places, jobs=1)
    devices = places.devices or visible_devices()
    return replace(places, jobs=places.jobs or cells_at_a_time(devices), devices=devices)


def run_cells(machine: Machine, cells: Sequence[Cell], places: Places) -> list[Failure]:
    """Run the cells that are not done; returns those that failed.

    Args:
        machine: how a worker runs searches; on this machine, only a cell that runs alone gets several processes.
        cells: the cells, done or not, parents before their children.
        places: where they run.

    Raises:
        BenchError: there is no such executor, or a dataset is not prepared.
        Interrupted: Ctrl-C, or SIGTERM (`Preempted`); every search has saved its state, and the same command goes on.
    """
    images = image_digests(cells)
    left = [cell for cell in cells if not is_done(cell, images[cell.dataset_name])]
    if not left:
        return []
    if len(left) < len(cells):
        print(f"{len(cells) - len(left)} of {len(cells)} cells are done already", flush=True)
    jobs, threads = places.jobs or 1, None
    if places.executor == LOCAL:
        threads = _threads(jobs)
        machine = machine if jobs == 1 and not places.devices else machine.model_copy(update={"processes": 1})
    with _run_directory() as token, opened(places.executor, token, jobs, places.devices) as engine:
        if engine.about:
            print(engine.about, flush=True)
        family_jobs = make_jobs(WORK, machine, left, token, threads)
        with Progress(len(cells), len(cells) - len(left)) as progress:
            return run_jobs(family_jobs, engine, progress)


def _threads(jobs: int) -> int:
    """Share this machine's cores out; OMP_NUM_THREADS may say fewer."""
    share, limit = max(1, cores() // jobs), os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(limit)) if limit.isdigit() and int(limit) else share


@contextmanager
def _run_directory() -> Iterator[str]:
    """Make the directory of a run, by which workers see that they share this one; yields the token of the run."""
    token = secrets.token_hex(8)
    directory = paths.run_dir(token)
    directory.mkdir(parents=True)
    try:
        yield token
    finally:
        shutil.rmtree(directory, ignore_errors=True)
