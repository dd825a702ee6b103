"""A job in a fresh process: whatever becomes of the process, the head hears of it, and nothing is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.engine.channel import Request, ThreadLine
from slt_bench.engine.executors import Engine, LocalExecutor
from slt_bench.engine.head import run_jobs
from slt_bench.engine.job import Job, Note, Report, Work, make_jobs
from slt_bench.engine.process import run_job
from slt_bench.engine.progress import Progress
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.records.standing import digest_of
from tests.engine.projects import ONE_SEED, written

pytestmark = pytest.mark.slow  # the first waits until torch is imported


def say_and_die_in_two(machine: Machine, cell: Cell) -> None:
    """Say something; die if the table is `two`."""
    del machine
    print(f"{cell.table} runs with {os.environ.get('CUDA_VISIBLE_DEVICES')}", flush=True)
    if cell.table == "two":
        os.kill(os.getpid(), signal.SIGKILL)


def crash(machine: Machine, cell: Cell) -> None:
    """Make a mistake."""
    raise ZeroDivisionError(f"{machine.processes} over nothing in {cell.table}\nadvice of a library")


def crash_with_seed_0(machine: Machine, cell: Cell) -> None:
    """Make a mistake in the cell of one seed, else say which process this is."""
    if not cell.seed:
        crash(machine, cell)
    print(f"process {os.getpid()}", flush=True)


def sleep(machine: Machine, cell: Cell) -> None:
    """Take long."""
    del machine, cell
    time.sleep(60)


def miss(cell: Cell, workers: int) -> None:
    """Need a library that is not there."""
    del cell, workers
    raise ModuleNotFoundError("No module named 'numba'", name="numba")


def prepared(cell: Cell, workers: int) -> None:
    """Find the dataset in place."""
    assert workers and digest_of(cell)


def job(
    cells: list[Cell],
    run: Callable[[Machine, Cell], None],
    prepare: Callable[[Cell, int], None] = prepared,
    shared: bool = True,
    token: str = "t",
) -> Job:
    if shared:
        paths.run_dir(token).mkdir(parents=True)
    work = Work(run, prepare, "slt_bench.run.warm")
    first, *_ = make_jobs(work, Machine(), cells, token, 1)  # of one family, whatever their parents
    return replace(first, cells=tuple(cells), identities={cell.id: cell.identity for cell in cells})


@pytest.fixture
def cell(project: Path) -> Cell:
    return written(ONE_SEED).tables["one"].cells[0]


def test_a_loss_is_of_the_cell_that_ran_also_if_two_tables_have_it(cell: Cell) -> None:
    line, notes = ThreadLine(), list[Note]()
    line.listen(notes.append)
    report = run_job(job([cell, cell.model_copy(update={"table": "two"})], say_and_die_in_two), line, "1")
    first, second = report.outcomes
    assert (first.table, first.kind, first.line) == ("one", "done", "one runs with 1")
    assert (second.table, second.kind, second.line) == ("two", "lost", "its process died with status -9 (out of memory?)")
    assert [note.outcome and note.outcome.table for note in notes] == [None, "one", None]


def test_a_mistake_is_a_failure_with_its_traceback_in_the_log(cell: Cell) -> None:
    (outcome,) = run_job(job([cell], crash), ThreadLine()).outcomes
    assert outcome.kind == "failed" and outcome.line == "ZeroDivisionError: 1 over nothing in one"
    assert "Traceback" in Path(outcome.log or "").read_text()


def test_after_a_mistake_a_process_runs_no_other_cell(cell: Cell) -> None:
    """It may have left anything, as after an error of a GPU; what waits for the cell that failed is told all the same."""
    other, same = cell.model_copy(update={"seed": 1}), cell.model_copy(update={"table": "two"})
    found = run_job(job([cell, other, same], crash_with_seed_0), ThreadLine()).outcomes
    assert [(each.cell_id, each.table, each.kind) for each in found] == [(cell.id, "one", "failed"), (cell.id, "two", "failed")]
    assert found[1].line == "it failed in table one"
    head, progress = Engine(LocalExecutor(1), ThreadLine(), has_own_disks=False), Progress(2, 0)
    failures = run_jobs([job([cell, other], crash_with_seed_0, token="u")], head, progress)
    assert [each.cell for each in failures] == [cell]
    assert "process" in paths.log_file(other.id).read_text(), "in a fresh process"


def test_a_library_that_a_worker_lacks_is_the_reason_of_its_refusal(cell: Cell) -> None:
    report = run_job(job([cell], sleep, miss, shared=False), ThreadLine())
    assert report == Report("", (), "preparing and loading images needs numba: pip install 'slt-bench[data]'")


@pytest.mark.parametrize(("request_", "kind"), [("stop", "stopped"), ("now", "stopped")])
def test_a_request_reaches_a_process_that_does_not_listen(cell: Cell, request_: Request, kind: str) -> None:
    line = ThreadLine()
    line.listen(lambda _: line.ask(request_))
    (outcome,) = run_job(job([cell], sleep), line).outcomes
    assert outcome.kind == kind and outcome.seconds < 30
    assert run_job(job_again(cell), line) == Report("")  # nothing begins after it


def test_when_it_is_asked_to_stop_no_other_cell_begins(cell: Cell) -> None:
    line = ThreadLine()
    line.listen(lambda _: line.ask("stop"))
    outcomes = run_job(job([cell, cell.model_copy(update={"seed": 1})], sleep), line).outcomes
    assert [(outcome.cell_id, outcome.kind) for outcome in outcomes] == [(cell.id, "stopped")]


def job_again(cell: Cell) -> Job:
    paths.run_dir("t").rmdir()
    return job([cell], sleep)


def test_no_process_is_left_when_the_head_cannot_be_asked(cell: Cell) -> None:
    class Dead(ThreadLine):
        def request(self) -> Request:
            if multiprocessing.active_children():
                raise OSError("the scheduler is gone")
            return ""

    with pytest.raises(OSError, match="the scheduler is gone"):
        run_job(job([cell], sleep), Dead())
    assert not multiprocessing.active_children()


def test_parameters_that_mean_something_else_here_are_refused(cell: Cell) -> None:
    report = run_job(replace(job([cell], sleep), identities={cell.id: "other"}), ThreadLine())
    assert report.refused == f"parameters of {cell.id}" and not report.outcomes
