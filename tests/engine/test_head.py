"""What the head makes of reports, refusals and losses, with executors that are told what to answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from slt_bench.common import paths
from slt_bench.common.errors import Interrupted, Preempted
from slt_bench.data.manifest import read_manifest
from slt_bench.engine.channel import FileLine, Request, ThreadLine
from slt_bench.engine.executors import Engine
from slt_bench.engine.head import Failure, run_jobs
from slt_bench.engine.job import Job, Note, Outcome, Report, Versions, make_jobs
from slt_bench.engine.progress import Progress
from slt_bench.engine.worker import results_here
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.grid import families
from slt_bench.params.machine import Machine
from slt_bench.records.code_digest import cell_code
from slt_bench.run.many import WORK
from tests.engine.projects import PARAMS, written
from tests.report.test_report import pretend

Answer = Callable[[Job], Report]


class Told(Executor):
    """Answers each job at once, by a function."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.jobs = answer, list[Job]()

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        (job, _), future = arguments, Future[Any]()
        self.jobs.append(job)
        try:
            future.set_result(self.answer(job))
        except Exception as error:
            future.set_exception(error)
        return future


def done(cell: Cell) -> Outcome:
    return Outcome(cell.table, cell.id, "done", f"{cell.id}  test 50.00 %", 1.0)


def lost(cell: Cell) -> Outcome:
    return Outcome(cell.table, cell.id, "lost", "its process died with status -11", 1.0)


@pytest.fixture
def cells(project: Path) -> list[Cell]:
    return list(written(PARAMS).tables["one"].cells)


def job_of(cells: list[Cell]) -> Job:
    identities = {cell.id: cell.identity for cell in cells}
    return Job(tuple(cells), WORK, identities, Machine(), Versions("code", {}), {}, Path.cwd(), "token")


def run(cells: list[Cell], answer: Answer) -> tuple[list[Failure], Told]:
    told = Told(answer)
    jobs = [job_of(family) for family in families(cells)]
    with Progress(len(cells), 0) as progress:
        return run_jobs(jobs, Engine(told, ThreadLine()), progress), told


def test_each_cell_is_told_once_with_its_worker_and_the_time_left(
    cells: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    failures, told = run(cells, lambda job: Report("box", tuple(map(done, job.cells))))
    lines = capsys.readouterr().out.splitlines()
    assert failures == [] and len(told.jobs) == 2 and len(lines) == 4
    assert lines[0].startswith(f"[1/4] {cells[0].id}  test 50.00 %  1 s on box, ") and lines[3].startswith("[4/4] ")


def test_a_result_of_other_parameters_is_set_aside_before_a_workers_takes_its_place(cells: list[Cell]) -> None:
    cell, before = cells[0], {"identity": "other", "data": {"digest": "d"}, "code": "c"}
    cell.directory.mkdir(parents=True)
    (cell.directory / "search.json").write_text(json.dumps(before))
    files = {str(cell.directory): {"search.json": b"{}"}}
    run(cells, lambda job: Report("box", tuple(map(done, job.cells)), files=files if cell in job.cells else {}))
    assert (cell.directory / "search.json").read_text() == "{}"
    assert json.loads((paths.SET_ASIDE / "one" / f"{cell.id}.other/search.json").read_text()) == before


def test_what_was_done_before_the_loss_does_not_go_out_again(cells: list[Cell]) -> None:
    first = cells[:1]

    def answer(job: Job) -> Report:
        if first:
            return Report("box", (done(first.pop()), lost(job.cells[1])))
        return Report("box", tuple(map(done, job.cells)))

    failures, told = run(cells, answer)
    assert failures == []
    assert sorted(len(job.cells) for job in told.jobs) == [1, 2, 2]


def test_a_cell_that_loses_three_workers_has_failed_and_its_children_too(
    cells: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    bad, *_ = cells

    def answer(job: Job) -> Report:
        return Report("box", (lost(bad),) if bad in job.cells else tuple(map(done, job.cells)))

    failures, told = run(cells, answer)
    (first, second) = failures
    assert first.cell == bad and second.cell.source.parent and second.cell.source.parent.id == bad.id
    assert first.reason == "lost its worker 3 times without getting on; the last time its process died with status -11"
    assert second.reason == f"its ticket comes from {bad.id}, which failed"
    assert sum(bad in job.cells for job in told.jobs) == 3
    assert capsys.readouterr().out.count("goes out again, box is lost: its process died") == 2


def test_a_search_that_gets_on_may_lose_any_number_of_workers(cells: list[Cell]) -> None:
    times = iter(range(10))
    state = paths.state_dir(cells[0].id, cells[0].identity)
    state.mkdir(parents=True)

    def answer(job: Job) -> Report:
        if cells[0] in job.cells and (number := next(times, None)) is not None:
            (state / f"{number}.pt").touch()
            return Report("box", (lost(cells[0]),))
        return Report("box", tuple(map(done, job.cells)))

    failures, told = run(cells, answer)
    assert failures == [] and len(told.jobs) == 12


@pytest.mark.parametrize("error", [OSError("the scheduler is gone"), ModuleNotFoundError("No module named 'slt_bench'")])
def test_an_executor_that_fails_always_fails_the_cells_with_its_reason(cells: list[Cell], error: Exception) -> None:
    def answer(job: Job) -> Report:
        raise error

    failures, _ = run(cells, answer)
    assert sorted(failure.cell.id for failure in failures) == sorted(cell.id for cell in cells)
    assert str(error) in failures[0].reason


def test_an_executor_that_takes_no_more_jobs_fails_the_cells(cells: list[Cell]) -> None:
    class Broken(Told):
        def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            raise BrokenProcessPool("a process in the pool was terminated")

    with Progress(len(cells), 0) as progress:
        jobs = [job_of(family) for family in families(cells)]
        failures = run_jobs(jobs, Engine(Broken(lambda _: Report("")), ThreadLine()), progress)
    assert len(failures) == 4 and "a process in the pool was terminated" in failures[0].reason


def test_a_refusal_is_told_once_and_the_job_goes_to_others(cells: list[Cell], capsys: pytest.CaptureFixture[str]) -> None:
    refusals = iter(range(6))

    def answer(job: Job) -> Report:
        if next(refusals, None) is not None:
            return Report("old", refused="torch 2.11.0 instead of 2.12.1")
        return Report("new", tuple(map(done, job.cells)))

    failures, told = run(cells, answer)
    assert failures == [] and len(told.jobs) == 8
    assert capsys.readouterr().out.count("old is refused: torch 2.11.0 instead of 2.12.1") == 1


def test_refusals_by_all_workers_end_the_run(cells: list[Cell]) -> None:
    failures, told = run(cells, lambda _: Report("old", refused="code 1 instead of 2"))
    assert len(failures) == 4 and {failure.reason for failure in failures} == {"refused by old: code 1 instead of 2"}
    assert 10 <= len(told.jobs) < 20


def test_one_that_refuses_all_waits_for_those_at_work(cells: list[Cell]) -> None:
    """It asks for the next job each second, while others report nothing for hours."""
    line, held, refusals = ThreadLine(), list[tuple[Job, Future[Report]]](), iter(range(30))

    class Two(Told):
        def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            if held:
                return super().submit(function, *arguments, **options)
            held.append((arguments[0], Future()))
            line.tell(Note(arguments[0].cells[0].id, "good"))
            return held[0][1]

    def answer(job: Job) -> Report:
        if next(refusals, None) is not None:
            return Report("bad", refused="torch 2.11.0 instead of 2.12.1")
        first, future = held[0]
        if not future.done():
            future.set_result(Report("good", tuple(map(done, first.cells))))
        return Report("good", tuple(map(done, job.cells)))

    with Progress(len(cells), 0) as progress:
        assert run_jobs([job_of(family) for family in families(cells)], Engine(Two(answer), line), progress) == []


def test_results_from_afar_are_written(cells: list[Cell]) -> None:
    def answer(job: Job) -> Report:
        files = {str(cell.directory): {"ticket.safetensors": cell.id.encode()} for cell in job.cells}
        return Report("box", tuple(map(done, job.cells)), files=files)

    run(cells, answer)
    assert [(cell.directory / "ticket.safetensors").read_text() for cell in cells] == [cell.id for cell in cells]


def test_a_child_that_goes_out_again_takes_its_parents_ticket_along(cells: list[Cell]) -> None:
    first = [True]

    def answer(job: Job) -> Report:
        if not first:
            return Report("box", tuple(map(done, job.cells)))
        first.clear()
        parent, child = job.cells
        return Report("box", (done(parent), lost(child)), files={str(parent.directory): {"ticket.safetensors": b"a ticket"}})

    parent, child = families(cells)[0]
    failures, told = run([parent, child], answer)
    assert failures == [] and [job.cells for job in told.jobs] == [(parent, child), (child,)]
    assert told.jobs[1].parents == {str(parent.directory): {"ticket.safetensors": b"a ticket"}}


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Preempted("")])
def test_a_stop_is_passed_on_and_says_what_is_left(cells: list[Cell], stop: BaseException) -> None:
    class Stopped(Told):
        def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            if self.jobs:
                raise stop
            return super().submit(function, *arguments, **options)

    told, line = Stopped(lambda job: Report("", tuple(map(done, job.cells)))), ThreadLine()
    with pytest.raises(Interrupted, match="cells to do; all is saved") as caught, Progress(4, 0) as progress:
        run_jobs([job_of([cell]) for cell in cells], Engine(told, line), progress)
    assert line.request() == "stop" and isinstance(caught.value, Preempted) == isinstance(stop, Preempted)


def test_a_second_stop_does_not_say_that_all_is_saved(cells: list[Cell]) -> None:
    class Impatient(ThreadLine):
        def ask(self, request: Request) -> None:
            super().ask(request)
            if request == "stop":
                raise KeyboardInterrupt

    class Stopped(Told):
        def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            raise KeyboardInterrupt

    told, line = Stopped(lambda _: Report("")), Impatient()
    with pytest.raises(Interrupted, match="goes on from what searches had saved before"), Progress(4, 0) as progress:
        run_jobs([job_of(cells)], Engine(told, line), progress)
    assert line.request() == "now"


def test_a_worker_that_dies_after_the_last_note_is_no_failure(cells: list[Cell]) -> None:
    line = ThreadLine()

    def answer(job: Job) -> Report:
        for cell in job.cells:
            line.tell(Note(cell.id, "box"))
            line.tell(Note(cell.id, "box", done(cell)))
        raise OSError("the worker died")

    told = Told(answer)
    with Progress(len(cells), 0) as progress:
        assert run_jobs([job_of(family) for family in families(cells)], Engine(told, line), progress) == []
    assert len(told.jobs) == 2


def test_a_note_of_a_loss_is_not_counted_twice(cells: list[Cell], capsys: pytest.CaptureFixture[str]) -> None:
    line, times = ThreadLine(), iter(range(2))

    def answer(job: Job) -> Report:
        outcome = lost(cells[0]) if next(times, None) is not None else done(cells[0])
        line.tell(Note(cells[0].id, "box"))
        line.tell(Note(cells[0].id, "box", outcome))
        return Report("box", (outcome,))

    with Progress(1, 0) as progress:
        assert run_jobs([job_of(cells[:1])], Engine(Told(answer), line), progress) == []
    assert capsys.readouterr().out.count("goes out again") == 2


def test_a_cell_that_begins_elsewhere_names_the_worker_that_was_lost(
    cells: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ThreadLine()

    def answer(job: Job) -> Report:
        for worker in ("first", "second"):
            line.tell(Note(job.cells[0].id, worker))
        return Report("second", (done(job.cells[0]),))

    with Progress(1, 0) as progress:
        run_jobs([job_of(cells[:1])], Engine(Told(answer), line), progress)
    assert f"{cells[0].id} begins again on second: first is lost" in capsys.readouterr().out


def test_versions_differ_by_name_but_not_by_build() -> None:
    ours = Versions("1a", {"torch": "2.12.1", "numpy": "2.0"})
    assert ours.differences(Versions("1a", {"torch": "2.12.1", "numpy": "2.0"})) == []
    assert ours.differences(Versions("2b", {"torch": "2.11.0"})) == [
        "code 2b instead of 1a", "torch 2.11.0 instead of 2.12.1", "numpy missing instead of 2.0"
    ]  # fmt: skip
    assert all("+" not in version for version in Versions.here([]).libraries.values())


def test_a_stop_waits_for_no_job_that_no_worker_has_begun(cells: list[Cell]) -> None:
    class Queue(Told):
        def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            if self.jobs:
                raise KeyboardInterrupt
            self.jobs.append(arguments[0])
            return Future()  # for ever

    with pytest.raises(Interrupted, match="4 cells to do"), Progress(4, 0) as progress:
        run_jobs([job_of([cell]) for cell in cells], Engine(Queue(lambda _: Report("")), ThreadLine()), progress)


def test_a_head_that_cannot_go_on_stops_its_searches(cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    """As when its output is piped into a program that has ended."""

    def tell(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(Progress, "tell", tell)
    told, line = Told(lambda job: Report("", tuple(map(done, job.cells)))), ThreadLine()
    with pytest.raises(BrokenPipeError), Progress(4, 0) as progress:
        run_jobs([job_of([cell]) for cell in cells], Engine(told, line), progress)
    assert line.request() == "stop"


def test_a_stop_takes_back_no_job_of_workers_that_say_nothing(cells: list[Cell], tmp_path: Path) -> None:
    """An executor of somebody's own may hand out futures that say nothing either."""
    futures = list[Future[Any]]()

    class Own(Told):
        def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            if futures:
                raise KeyboardInterrupt
            futures.append(Future())
            return futures[0]

    class Asked(FileLine):
        def ask(self, request: Request) -> None:
            super().ask(request)
            assert not futures[0].cancelled()
            futures[0].set_result(Report("box", tuple(Outcome(cell.table, cell.id, "stopped", "", 0.0) for cell in cells[:1])))

    with pytest.raises(Interrupted), Progress(4, 0) as progress:
        run_jobs([job_of([cell]) for cell in cells], Engine(Own(lambda _: Report("")), Asked(tmp_path)), progress)
    assert not futures[0].cancelled() and (tmp_path / "stop").exists()


def test_a_worker_that_is_lost_with_a_family_hides_no_refusals(cells: list[Cell]) -> None:
    parent, child = families(cells)[0]
    line, first = ThreadLine(), [True]

    def answer(job: Job) -> Report:
        if first.pop() if first else False:
            for cell in job.cells:
                line.tell(Note(cell.id, "good"))
            raise BrokenProcessPool("the worker is lost")
        return Report("bad", refused="torch 2.11.0 instead of 2.12.1")

    with Progress(2, 0) as progress:
        failures = run_jobs([job_of([parent, child])], Engine(Told(answer), line), progress)
    assert {failure.reason for failure in failures} == {"refused by bad: torch 2.11.0 instead of 2.12.1"}


def test_workers_agree_in_all_libraries_that_make_the_numbers() -> None:
    assert set(Versions.here([]).libraries) == {"torch", "torchvision", "numpy", "numba"}


def test_a_damaged_result_of_a_dead_heads_worker_is_not_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = written(PARAMS).tables["one"].cells[0]
    pretend(cell, 60.0, cell_code(cell), images=read_manifest(Path("data/digits")).digest)
    jobs = make_jobs(WORK, Machine(), [cell], "token", 1)
    assert list(results_here(jobs)) == [str(cell.directory)]
    (cell.directory / "ticket.safetensors").write_bytes(b"damaged")
    assert results_here(jobs) == {}
