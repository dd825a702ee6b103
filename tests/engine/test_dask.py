"""Cells on a dask cluster: workers that die, that are other than the head, that share no disk with it, and stops."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import distributed
import pytest

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.engine.executors import opened, width
from slt_bench.engine.head import Failure, run_jobs
from slt_bench.engine.job import Job, Versions, make_jobs
from slt_bench.engine.progress import Progress
from slt_bench.experiment.cell import Cell
from slt_bench.records.standing import is_done
from slt_bench.run.many import WORK, Places, run_cells
from tests.engine.cluster import Cluster, cluster
from tests.engine.projects import ONE_SEED, PARAMS, bits, lengths, started, wait_until_said, written

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("SLT_BENCH_KILLS", "2"))  # a campaign: 20
EPOCHS = 120 if KILLS > 2 else 40


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers, which start in a directory that is not the project's."""
    with cluster(tmp_path_factory.mktemp("elsewhere"), "w1", "w2") as made:
        yield made


@pytest.mark.campaign
def test_killed_workers_lose_nothing(project: Path, two: Cluster) -> None:
    """Cells of workers that die go on from their saved states on others, to the bits of a run that nobody disturbed."""
    seeds = list(range(max(2, KILLS * 3 // 4)))
    experiments = written(PARAMS.replace("seeds: [0, 1]", f"seeds: {seeds}").replace("epochs: 2", f"epochs: {EPOCHS}"))
    cells = experiments.tables["one"].cells
    assert run_cells(experiments.params.machine, cells, Places(jobs=2)) == []
    undisturbed = bits(cells)
    shutil.rmtree(paths.CELLS)
    shutil.rmtree(paths.STATE)
    over, killed = Event(), 0

    def kill() -> None:
        nonlocal killed
        chance = random.Random(0)
        while killed < KILLS and not over.wait(chance.uniform(1, 12 if KILLS > 2 else 4)):
            if victims := two.victims():
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(victims), signal.SIGKILL)
                    killed += 1

    killer = Thread(target=kill)
    killer.start()
    try:
        assert run_cells(experiments.params.machine, cells, Places(two.address)) == []
    finally:
        over.set()
        killer.join()
    assert killed == KILLS and bits(cells) == undisturbed
    afresh = sum(paths.log_file(cell.id).read_text().count(f"epoch 1/{EPOCHS}") for cell in cells) - len(cells)
    sessions = sum(len(json.loads((cell.directory / "search.json").read_text())["sessions"]) for cell in cells)
    print(
        f"{killed} kills, {len(cells)} cells, {sessions - len(cells)} times gone on from a saved state, {afresh} times afresh"
    )
    two.client.wait_for_workers(2, timeout=60)


def test_a_worker_without_the_heads_disk_gets_and_gives_all_that_is_needed(
    project: Path, two: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head claims to be in a directory that no worker sees: they prepare the images and send the results back."""
    experiments = written(ONE_SEED)
    parent, child = experiments.tables["one"].cells
    machine = experiments.params.machine
    monkeypatch.setattr("slt_bench.engine.setbacks._MOST_REFUSALS", 2)

    def run(cells: list[Cell], **changes: Any) -> list[Failure]:
        (job,) = make_jobs(WORK, machine, cells, "far", None)
        job = replace(job, project=Path("/nowhere"), **changes)
        with opened(two.address, "far", 1) as engine, Progress(len(cells), 0) as progress:
            return run_jobs([job], engine, progress)

    assert run([parent]) == [] and is_done(parent)
    shutil.rmtree(paths.CELLS)  # as if the head had been killed before it had the results

    def far(*arguments: Any, **options: Any) -> list[Job]:
        return [replace(job, project=Path("/nowhere")) for job in make_jobs(*arguments, **options)]

    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr("slt_bench.run.many.make_jobs", far)
        assert run_cells(machine, [parent], Places(two.address)) == [] and is_done(parent)
    told = capsys.readouterr().out
    assert (
        f"{parent.id}  was finished by a worker before" in told and f"{parent.id}  test" not in told
    )  # nobody searched it again
    assert run([child]) == [] and is_done(child)  # with the ticket of the parent, which came with the job
    found = bits([parent, child])
    shutil.rmtree(paths.CELLS)
    assert run_cells(machine, [parent, child], Places(jobs=1)) == [] and bits([parent, child]) == found
    capsys.readouterr()
    shutil.rmtree(paths.CELLS)
    (refused,) = run([parent], versions=replace(Versions.here([parent]), code="0123456789ab"))
    assert "is refused: code " in capsys.readouterr().out and "instead of 0123456789ab" in refused.reason
    monkeypatch.setattr("slt_bench.engine.setbacks._MOST_REFUSALS", 1)  # each takes a second
    (refused,) = run([parent], images={"digits": "f" * 64})
    assert "images of digits " in refused.reason and "instead of ffffffffffff" in refused.reason
    (refused,) = run([parent], identities={parent.id: "other"})
    assert f"parameters of {parent.id}" in refused.reason


def test_a_stop_saves_all_and_the_same_command_goes_on(project: Path, two: Cluster) -> None:
    assert width(two.address) == 2 and width("pools:make") is None
    cells = written(PARAMS.replace("epochs: 2", "epochs: 2000")).tables["one"].cells[:2]
    logs = [paths.log_file(cell.id) for cell in cells]
    for times in (1, 2):
        said = lengths(logs)
        process = started(*(cell.id for cell in cells), "--executor", two.address)
        wait_until_said(logs, "/2000", process, said)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 75 and "all is saved, and the same command goes on" in told, told
        assert all(log.read_text().count("stopped ") == times for log in logs)
    assert all(log.read_text().count("epoch 1/2000") == 1 for log in logs)


def test_what_a_killed_head_has_asked_for_is_stopped(project: Path, two: Cluster) -> None:
    cells = written(PARAMS.replace("epochs: 2", "epochs: 2000")).tables["one"].cells[:2]
    logs = [paths.log_file(cell.id) for cell in cells]
    process = started(*(cell.id for cell in cells), "--executor", two.address)
    wait_until_said(logs, "epoch 2/2000", process)
    process.kill()
    process.communicate()
    wait_until_said(logs, "stopped ")
    until = time.monotonic() + 30
    while any(two.client.processing().values()):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_scheduler_that_is_not_there_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slt_bench.engine.executors._DASK_TIMEOUT", 1)
    cells = written(ONE_SEED).tables["one"].cells
    with pytest.raises(BenchError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:1: "):
        run_cells(written(ONE_SEED).params.machine, cells, Places("tcp://127.0.0.1:1"))


def test_a_client_that_failed_is_gone(monkeypatch: pytest.MonkeyPatch, no_collector: None) -> None:
    """Else its end could come while another one is made, and wait for ever for a lock of that one."""
    monkeypatch.setattr("slt_bench.engine.executors._DASK_TIMEOUT", 1)
    made = list[weakref.ref[Any]]()
    make: Callable[..., None] = distributed.Client.__init__

    def remembered(client: Any, *arguments: Any, **options: Any) -> None:
        made.append(weakref.ref(client))
        make(client, *arguments, **options)

    monkeypatch.setattr(distributed.Client, "__init__", remembered)
    with pytest.raises(BenchError, match="no dask scheduler answers"), opened("tcp://127.0.0.1:1", "token"):
        pass
    assert [client() for client in made] == [None]
