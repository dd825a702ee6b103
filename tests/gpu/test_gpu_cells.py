"""Cells for the time that is left: they stop at its end, go on in the next call, and a failure is told."""

from __future__ import annotations

import os
import signal
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
    monkeypatch.setattr(gpu.sys, "executable", str(path))


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


def test_the_time_is_kept_to_and_the_state_is_saved_by_then(toys: list[Cell], tmp_path: Path, monkeypatch) -> None:
    command(monkeypatch, tmp_path, "trap 'kill $!; echo saved > state; exit 75' TERM; sleep 60 & wait")
    assert not run_cells(toys, 0.01, 1).failed
    assert Path("state").read_text() == "saved\n"


def test_a_run_that_fails_says_so(toys: list[Cell], tmp_path: Path, monkeypatch) -> None:
    command(monkeypatch, tmp_path, "exit 2")
    assert run_cells(toys, 1, 1).failed == "`slt-bench run` ended with status 2: see what it printed"


def test_ctrl_c_stops_what_was_started(toys: list[Cell], tmp_path: Path, monkeypatch) -> None:
    command(monkeypatch, tmp_path, "trap 'kill $!; echo saved > state; exit 75' TERM; sleep 60 & echo up > up; wait")

    def press() -> None:
        while not Path("up").exists():
            time.sleep(0.1)
        time.sleep(0.2)  # until it is waited for
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        run_cells(toys, 1, 1)
    assert Path("state").read_text() == "saved\n"


def test_the_papers_cells_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    cells = cells_in_order()
    table = load_experiments().tables[gpu.TABLE].cells
    assert {cell.id for cell in cells} == {cell.id for cell in table if cell.network_name == gpu.NETWORK}
    assert [part in cell.id for part, cell in zip(gpu.FIRST, cells, strict=False)] == [True] * len(gpu.FIRST)
    assert all(cell.seed == 0 for cell in cells[: len(gpu.FIRST)])


def test_a_missing_folder_of_images_is_an_error_of_the_run(project: Path) -> None:
    with pytest.raises(BenchError, match=r"params\.yaml"):
        cells_in_order()
