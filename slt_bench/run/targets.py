"""The work of `slt-bench run` and of DVC's search stages: what is left of tables and cells, by the executor asked for."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.compute.devices import cells_at_a_time, visible_devices
from slt_bench.engine.executors import LOCAL, opened
from slt_bench.engine.head import Failure, run_jobs
from slt_bench.engine.job import Work, make_jobs
from slt_bench.engine.progress import Progress
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.params.machine import Machine
from slt_bench.records.leftovers import leftovers
from slt_bench.records.provenance import parent_digest
from slt_bench.records.shared import set_aside, take_from_others
from slt_bench.records.standing import image_digests, is_done
from slt_bench.run import dvc
from slt_bench.run.announce import announcement
from slt_bench.run.cells import run_cell
from slt_bench.run.datasets import prepare_missing, prepare_on_worker
from slt_bench.run.plan import plan
from slt_bench.run.reports import show_table

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


def run_targets(experiments: Experiments, targets: Sequence[str], places: Places) -> None:
    """Run what is left of tables and cells, then report the tables; with DVC, datasets and tables go through its stages.

    Args:
        experiments: all that params.yaml declares.
        targets: names of tables and ids of cells.
        places: where the cells run.

    Raises:
        BenchError: at the end, listing the cells that failed, each with the reason and its log.
    """
    machine = experiments.params.machine
    tables = [target for target in targets if target in experiments.tables]
    cells = _cells_of(experiments, targets)
    if not tables and len(cells) == 1 and places == Places(jobs=places.jobs):
        prepare_missing(experiments, cells)
        run_cell(machine, cells[0])
        return
    places = chosen(machine, places)
    _announce(experiments, cells, places)
    through_dvc = bool(tables) and dvc.is_set_up()
    if through_dvc:
        dvc.reproduce(*(f"prepare@{name}" for name in dict.fromkeys(cell.dataset_name for cell in cells)))
    else:
        prepare_missing(experiments, cells)
    _search(experiments, tables, cells, places)
    if through_dvc:
        dvc.reproduce(*(f"table@{table}" for table in tables))
        return
    for table in tables:
        show_table(experiments.tables[table])


def search_table(experiments: Experiments, table: str) -> None:
    """Run what is left of a table whose dataset is prepared; if that fails, all existing results stay.

    Args:
        experiments: all that params.yaml declares.
        table: name of the table.

    Raises:
        BenchError: as `run_targets`.
    """
    cells = experiments.table(table).cells
    places = chosen(experiments.params.machine, Places())
    if dvc.ANNOUNCED not in os.environ:
        _announce(experiments, cells, places)
    _search(experiments, [table], cells, places)


def _cells_of(experiments: Experiments, targets: Sequence[str]) -> list[Cell]:
    """Collect the cells of targets, those of tables first; a parent comes before its children."""
    cells = [cell for target in targets if target in experiments.tables for cell in experiments.tables[target].cells]
    for target in targets:
        if target not in experiments.tables:
            cells += [cell for cell in _with_parent(experiments, target) if cell not in cells]
    return cells


def _with_parent(experiments: Experiments, cell_id: str) -> list[Cell]:
    """Look up a cell, after its parent if that has no ticket yet."""
    cell = experiments.cell(cell_id)
    parent = cell.source.parent
    if parent and parent_digest(cell.parent_directory) == "missing":
        return [other for other in experiments.tables[cell.table].cells if other.id in (parent.id, cell_id)]
    return [cell]


def chosen(machine: Machine, places: Places) -> Places:
    """Choose how many cells run at a time on this machine and on which devices, as far as the user has not said so.

    Searches of several processes run one after another: each has all devices to itself.
    """
    if places.executor != LOCAL:
        return places
    if machine.processes > 1 and places.jobs in (None, 1) and not places.devices:
        return replace(places, jobs=1)
    devices = places.devices or visible_devices()
    return replace(places, jobs=places.jobs or cells_at_a_time(devices), devices=devices)


def _announce(experiments: Experiments, cells: Sequence[Cell], places: Places) -> None:
    for line in leftovers():
        print(f"note: {line}")
    for line in announcement(experiments, plan(cells, tickets=True), places.jobs or 1):
        print(line, flush=True)


def _search(experiments: Experiments, tables: Sequence[str], cells: Sequence[Cell], places: Places) -> None:
    """Run the cells that have no result, after results of removed cells are set aside and shared ones copied."""
    for table in tables:
        for directory in set_aside(table, experiments.tables[table].cells):
            print(f"note: {table} declares {directory.name} no more; its result lies in {directory.parent}")
    taken = take_from_others(cells)
    if taken:
        print(f"{len(taken)} results are there already, in other tables or set aside")
    failures = run_cells(experiments.params.machine, cells, places)
    if failures:
        lines = "\n".join(f"  {_described(failure)}" for failure in failures)
        raise BenchError(f"{len(failures)} of {len(cells)} cells failed; the same command tries them again:\n{lines}")


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
    with _run_directory() as token:
        jobs_out = make_jobs(WORK, machine, left, token, threads, afar=places.executor != LOCAL)
        with (
            opened(places.executor, token, jobs, places.devices) as engine,
            Progress(len(cells), len(cells) - len(left)) as progress,
        ):
            if engine.about:
                progress.say(engine.about)
            return run_jobs(jobs_out, engine, progress)


def _threads(jobs: int) -> int:
    """Share this machine's cores out; OMP_NUM_THREADS may say fewer."""
    share, limit = max(1, len(os.sched_getaffinity(0)) // jobs), os.environ.get("OMP_NUM_THREADS", "")
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


def _described(failure: Failure) -> str:
    log = f" ({failure.log})" if failure.log else ""
    return f"{failure.cell.id}: {failure.reason}{log}"
