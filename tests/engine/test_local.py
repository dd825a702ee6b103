"""Many cells at a time on this machine: the same bits, one failure touching no other, and the same command going on."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import pytest

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.compute.devices import cells_at_a_time, check_devices, cores, visible_devices
from slt_bench.experiment.grid import families
from slt_bench.params.machine import Machine
from slt_bench.records.standing import is_done
from slt_bench.run.cells import search_cell
from slt_bench.run.many import Places, chosen, run_cells
from tests.cli.run import command
from tests.engine.projects import ONE_SEED, PARAMS, WILD, bits, forked, in_the_way, lengths, started, wait_until_said, written


@pytest.mark.slow
def test_two_at_a_time_find_what_one_finds_and_a_child_comes_after_its_parent(project: Path) -> None:
    cells = written(PARAMS).tables["one"].cells
    assert [len(family) for family in families(cells)] == [2, 2]
    together = command("run", "one", "--jobs", "2")
    assert together.returncode == 0, together.stdout + together.stderr
    assert "[4/4]" in together.stdout and all(is_done(cell) for cell in cells)
    found = bits(cells)
    again = command("run", "one", "--jobs", "2")
    assert "all 4 cells have their results" in again.stdout and "[4/4]" not in again.stdout
    for cell in cells:
        for file in cell.directory.iterdir():
            file.unlink()
    *_, child = families(cells)[0]  # asked for alone: what it needs comes before it
    assert command("run", child.id).returncode == 0 and command("run", "one", "--jobs", "1").returncode == 0
    assert bits(cells) == found
    assert not list(paths.run_dir("").glob("*"))


@pytest.mark.slow
def test_a_failure_is_told_with_its_log_and_the_others_are_done(project: Path) -> None:
    wild, *others = written(WILD).tables["one"].cells
    file = in_the_way(wild)
    ended = command("run", "one", "--jobs", "2")
    reason = f"{wild.id}: cannot write into {file}: File exists"
    assert ended.returncode == 2 and f"FAILED {reason}" in ended.stdout
    assert "1 of 3 cells failed; the same command tries them again:" in ended.stderr
    assert reason in ended.stderr and str(paths.log_file(wild.id)) in ended.stderr
    assert paths.log_file(wild.id).is_file() and all(is_done(cell) for cell in others) and not is_done(wild)
    file.unlink()
    again = command("run", "one", "--jobs", "2")
    assert again.returncode == 0 and "2 of 3 cells are done already" in again.stdout
    assert f"{wild.id}  DIVERGED: epoch 1, step" in again.stdout  # which is a result
    assert "all 3 cells have their results" in command("run", "one", "--jobs", "2").stdout


@pytest.mark.slow
def test_a_child_of_a_failed_cell_is_not_begun(project: Path) -> None:
    parent, child = written(ONE_SEED).tables["one"].cells
    in_the_way(parent)
    ended = command("run", "one", "--jobs", "2")
    assert ended.returncode == 2 and f"{child.id}: its ticket comes from {parent.id}, which failed" in ended.stderr


@pytest.mark.parametrize(
    ("processes", "jobs", "devices", "places"),
    [
        (8, None, [], (1, ())),  # a search of several processes has all devices to itself
        (8, 1, [], (1, ())),
        (8, 4, [], (4, ["0", "1"])),
        (8, None, ["1"], (1, ["1"])),
        (1, None, [], (2, ["0", "1"])),
        (1, 1, [], (1, ["0", "1"])),
    ],
)
def test_cells_at_a_time_and_their_devices(
    processes: int, jobs: int | None, devices: list[str], places: tuple[int, Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    found = chosen(Machine(processes=processes), Places(jobs=jobs, devices=devices))
    assert (found.jobs, tuple(found.devices)) == (places[0], tuple(places[1]))


def test_one_at_a_time_where_windows_has_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slt_bench.compute.devices._WSL", tmp_path)
    assert cells_at_a_time([]) == 1 and cells_at_a_time(["0", "1"]) == 2
    monkeypatch.setattr("slt_bench.compute.devices._WSL", tmp_path / "nothing")
    assert cells_at_a_time([]) == cores()


def test_more_processes_than_devices_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cell, _) = written(ONE_SEED.replace("batch_size: 64", "batch_size: 64, shards: 4")).tables["one"].cells
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(BenchError, match=r"machine\.processes: 4 processes need a CUDA device each, and there is 1"):
        search_cell(Machine(processes=4), cell)


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else CUDA would find none, and the CPU would search without a word."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-1")
    check_devices(["2", "GPU-1", "MIG-7"])
    with pytest.raises(BenchError, match="there is no CUDA device 7; this machine has 2, GPU-1"):
        chosen(Machine(), Places(devices=["2", "7"]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(BenchError, match="there is no CUDA device 0; this machine has none"):
        chosen(Machine(), Places(devices=["0"]))


def test_devices_are_numbered_as_cuda_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have /dev/nvidia3 alone, which CUDA calls 0."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(Path, "glob", lambda directory, _: iter([directory / "nvidia3", directory / "nvidia7"]))
    assert visible_devices() == ["0", "1"]


@pytest.mark.slow
def test_cells_of_a_table_are_searched_by_as_many_processes_as_the_machine_says(project: Path) -> None:
    text = ONE_SEED.replace("machine: {", "machine: {processes: 2, ").replace("batch_size: 64", "batch_size: 64, shards: 2")
    experiments = written(text)
    parent, _ = experiments.tables["one"].cells
    assert run_cells(experiments.params.machine, [parent], Places(jobs=1)) == []
    assert json.loads((parent.directory / "search.json").read_text())["processes"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_stop_saves_all_and_the_same_command_goes_on(project: Path, sign: signal.Signals, status: int) -> None:
    cells = written(PARAMS.replace("epochs: 2", "epochs: 2000")).tables["one"].cells[:2]
    logs = [paths.log_file(cell.id) for cell in cells]
    for _ in range(2):
        said = lengths(logs)
        process = forked(*(cell.id for cell in cells), "--jobs", "2")
        wait_until_said(logs, "/2000", process, said)
        process.send_signal(sign)
        _, told = process.communicate(timeout=60)
        assert process.returncode == status and "all is saved, and the same command goes on" in told
    assert not any(is_done(cell) for cell in cells)
    assert all(log.read_text().count("epoch 1/2000") == 1 and log.read_text().count("stopped ") == 2 for log in logs)


@pytest.mark.slow
def test_a_second_stop_does_not_wait(project: Path) -> None:
    (cell, _) = written(ONE_SEED.replace("epochs: 2", "epochs: 2000")).tables["one"].cells
    process = started("one")
    wait_until_said([paths.log_file(cell.id)], "epoch 2/2000", process)
    victims = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    assert victims
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130


@pytest.mark.slow
def test_cells_whose_head_is_killed_save_their_state_and_end(project: Path) -> None:
    cells = [
        cell for cell in written(PARAMS.replace("epochs: 2", "epochs: 2000")).tables["one"].cells if not cell.source.parent
    ]
    process = forked(*(cell.id for cell in cells), "--jobs", "2")
    wait_until_said([paths.log_file(cell.id) for cell in cells], "epoch 2/2000", process)
    process.kill()
    process.communicate()
    wait_until_said([paths.log_file(cell.id) for cell in cells], "stopped ")


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_and_finds_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiments = written(ONE_SEED.replace("epochs: 2", "epochs: 40"))
    parent, _ = experiments.tables["one"].cells
    log = paths.log_file(parent.id)

    def kill() -> None:
        while not log.is_file() or "epoch 3/" not in log.read_text():
            time.sleep(0.01)
        (victim,) = multiprocessing.active_children()
        os.kill(victim.pid or 0, signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    assert run_cells(experiments.params.machine, [parent], Places(jobs=1)) == []
    killer.join()
    assert f"{parent.id} goes out again: its process died with status -9 (out of memory?)" in capsys.readouterr().out
    assert log.read_text().count("epoch 1/40") == 1  # it went on from its state
    found = bits([parent])
    (parent.directory / "search.json").unlink()
    assert run_cells(experiments.params.machine, [parent], Places(jobs=1)) == []
    assert bits([parent]) == found


def test_wrong_calls_are_told(project: Path) -> None:
    written(PARAMS)
    Path("mine.py").write_text("def number():\n    return 7\n")
    for arguments, message in (
        (["ones"], "there is no table or cell 'ones'; did you mean 'one'?"),
        (["one", "--jobs", "0"], "must be 1 or more"),
        (["one", "--executor", "slurm"], "there is no executor 'slurm': give local, tcp://HOST:PORT of a dask scheduler, or"),
        (["one", "--executor", "tcp://127.0.0.1:1", "--jobs", "2"], "--jobs and --devices are for this machine"),
        (["one", "--executor", "tcp://127.0.0.1:no"], "no dask scheduler answers at tcp://127.0.0.1:no"),
        (["one", "--executor", ":make"], "executor :make: give module:function, the module as Python imports it"),
        (["one", "--executor", "./cluster.py:make"], "executor ./cluster.py:make: give module:function"),
        (["one", "--executor", "nowhere:make"], "there is no module 'nowhere', installed or in this directory"),
        (["one", "--executor", "mine:make"], "module 'mine' has no attribute 'make'"),
        (["one", "--executor", "mine:number"], "executor mine:number returns int; it must return a dask Client or a"),
    ):
        ended = command("run", *arguments)
        assert ended.returncode == 2 and message in ended.stderr, ended.stderr


@pytest.mark.slow
def test_any_executor_of_pythons_runs_cells(project: Path) -> None:
    cells = written(ONE_SEED).tables["one"].cells
    Path("pools.py").write_text("from concurrent.futures import ThreadPoolExecutor as make\n")
    ended = command("run", "one", "--executor", "pools:make")
    assert ended.returncode == 0 and all(is_done(cell) for cell in cells), ended.stdout + ended.stderr
