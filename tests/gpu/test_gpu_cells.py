"""Cells for the time that is left: they stop at its end, go on in the next call, and a failure is told."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.gpu import cells as gpu
from benchmarks.gpu.cells import cells_in_order, run_cells
from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.load import load_experiments
from slt_bench.records.standing import is_done
from tests.engine.projects import ONE_SEED, ROOT, bits, environment, written


@pytest.fixture
def toys(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Two cells on digits, in a project of their own."""
    for name in ("PYTHONPATH", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, environment()[name])
    return list(written(ONE_SEED).cells().values())


def command(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Let a shell script stand for Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


@pytest.mark.slow
def test_cells_go_on_until_all_are_done(toys: list[Cell]) -> None:
    stopped = run_cells(toys, 0.02, 1)  # a second, in which the command hardly starts
    assert not stopped.rows and not stopped.failed
    done = run_cells(toys, 5, 1)
    assert not done.failed and all(map(is_done, toys)) and len(bits(toys)) == len(done.rows) == 2
    assert [row[0] for row in done.rows] == [cell.id for cell in toys]
    assert {row[-1] for row in done.rows} == {"equal"} and len(done.columns) == len(done.rows[0])
    for cell in toys[:1]:
        ticket = cell.directory / "ticket.safetensors"
        ticket.write_bytes(ticket.read_bytes()[:-1] + b"?")
    assert gpu._rebuilt(toys[0]).startswith("NO: ") and gpu._rebuilt(toys[1]) == "equal"


def test_the_time_is_kept_to_and_the_state_is_saved_by_then(
    toys: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(monkeypatch, tmp_path, "trap 'kill $!; echo saved > state; exit 75' TERM; sleep 60 & wait")
    assert not run_cells(toys, 0.01, 1).failed
    assert Path("state").read_text() == "saved\n"


def test_a_run_that_fails_says_so(toys: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, tmp_path, "exit 2")
    assert run_cells(toys, 1, 1).failed == "`slt-bench run` ended with status 2: see what it printed"


def test_ctrl_c_stops_what_was_started(toys: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, tmp_path, "trap 'kill $!; echo saved > state; exit 75' TERM; sleep 60 & echo up > up; wait")

    def press() -> None:
        while not Path("up").exists():
            time.sleep(0.1)
        time.sleep(0.2)  # until it is waited for
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what a script starts with & ignores the signal
    threading.Thread(target=press).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_cells(toys, 1, 1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert Path("state").read_text() == "saved\n"


def test_the_papers_cells_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conv6, then ResNet-18, seed by seed."""
    monkeypatch.chdir(ROOT)
    cells, count = cells_in_order(), len(gpu.FIRST)
    assert {cell.id for cell in cells} == {cell.id for cell in load_experiments().tables[gpu.TABLE].cells}
    expected = [(seed, network, part) for seed in (0, 1) for network in gpu.NETWORKS for part in gpu.FIRST]
    for cell, (seed, network, part) in zip(cells, expected, strict=False):
        assert (cell.seed, cell.network_name) == (seed, network) and part in cell.id
    assert len({cell.id for cell in cells[: 2 * count]}) == 2 * count


def test_a_cell_that_diverged_at_once_has_a_row(toys: list[Cell]) -> None:
    directory = toys[0].directory
    directory.mkdir(parents=True)
    (directory / "metrics.json").write_text('{"diverged": 1}')
    (directory / "search.json").write_text('{"diverged": "epoch 1: the loss became nan", "epoch_seconds": []}')
    assert gpu._row(toys[0]) == [toys[0].id, "diverged", "diverged", "0", "", "", "0.0", "no ticket"]


def test_a_ticket_that_is_not_rebuilt_is_a_failure(toys: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, tmp_path, "exit 0")
    monkeypatch.setattr(gpu, "_row", lambda cell: [cell.id, "NO: another digest"])
    assert run_cells(toys[:1], 1, 1).failed == f"{toys[0].id} is not what its ticket gives on a CPU"


def test_a_missing_folder_of_images_is_an_error_of_the_run(project: Path) -> None:
    with pytest.raises(BenchError, match=r"params\.yaml"):
        cells_in_order()
