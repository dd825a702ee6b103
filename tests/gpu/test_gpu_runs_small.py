"""What is to be run when there is a GPU runs in small on a CPU, so that it works on the day."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import correct
from benchmarks.gpu.notebook import Finding, Notebook
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.size import SMALL

QUICK = [name for name in PARTS if name not in ("torch.compile", "Searches side by side")]


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(gpu.main, ["--small", "--out", str(folder), *arguments], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def fine(_: object) -> Finding:
    return Finding(["a"], [[1]])


def test_every_part_finds_something_and_is_written_down(tmp_path: Path) -> None:
    told = run(tmp_path, *(word for name in QUICK for word in ("--only", name)))
    found, page = json.loads((tmp_path / "gpu.json").read_text()), (tmp_path / "README.md").read_text()
    assert "FAILED" not in told + page
    for name in QUICK:
        assert found[name]["rows"] and f"## {name}" in page
    assert all(row[2] == "holds" for row in found["Laws on the device"]["rows"])
    assert all(row[2] == "yes" for row in found["Selection"]["rows"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Searches side by side"])
def test_other_processes(tmp_path: Path, name: str) -> None:
    run(tmp_path, "--only", name)
    assert float(json.loads((tmp_path / "gpu.json").read_text())[name]["rows"][0][1]) > 0


@pytest.mark.campaign
def test_the_compiler(tmp_path: Path) -> None:
    run(tmp_path, "--only", "torch.compile")
    assert json.loads((tmp_path / "gpu.json").read_text())["torch.compile"]["rows"]


def test_what_is_done_is_not_done_again_but_what_failed_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def fine(size: object) -> Finding:
        done.append("fine")
        return Finding(["a"], [[1]])

    def broken(size: object) -> Finding:
        done.append("broken")
        raise RuntimeError("CUDA error: something")

    monkeypatch.setattr(gpu, "PARTS", {"Fine": fine, "Broken": broken, "Last": fine})
    assert "Broken failed, as the page says" in run(tmp_path, status=1)
    assert done == ["fine", "broken", "fine"]
    assert Notebook(tmp_path).findings["Broken"].failed == "RuntimeError: CUDA error: something"
    assert "FAILED: RuntimeError" in (tmp_path / "README.md").read_text()
    run(tmp_path, status=1)
    assert done == ["fine", "broken", "fine", "broken"]


def test_a_device_that_is_lost_to_a_process_is_had_anew_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left goes on there, and the process ends with its status."""

    def broken(size: object) -> Finding:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    calls: list[list[str]] = []
    monkeypatch.setattr(gpu, "PARTS", {"Broken": broken, "Next": broken, "Last": broken})
    monkeypatch.setattr(gpu, "_device_is_lost", lambda: True)

    def another(program: str, command: list[str]) -> None:
        calls.append(command)
        raise SystemExit(7)

    monkeypatch.setattr(os, "execv", another)
    result = CliRunner().invoke(gpu.main, ["--small", "--out", str(tmp_path), "--jobs", "3"])
    assert result.exit_code == 7 and "the device is lost to this process" in result.output
    (call,) = calls
    assert call[-4:] == ["--only", "Next", "--only", "Last"]
    assert call[-7:-4] == ["--jobs", "3", "--small"] and f"{tmp_path}" in call
    assert list(Notebook(tmp_path).findings) == ["Broken"]


def test_a_part_that_hides_the_loss_of_its_device_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As laws do, which tell whatever a search raises."""
    monkeypatch.setattr(gpu, "PARTS", {"Hiding": fine})
    monkeypatch.setattr(gpu, "_device_is_lost", lambda: True)
    monkeypatch.setattr(os, "execv", lambda *_: sys.exit(1))
    result = CliRunner().invoke(gpu.main, ["--small", "--out", str(tmp_path), "--cells", "1"])
    assert result.exit_code == 1 and Notebook(tmp_path).findings["Hiding"].failed == "the device was lost to the process"


def test_no_part_is_begun_when_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "PARTS", {"First": fine, "Next": fine})
    monkeypatch.setattr(time, "monotonic", iter([0.0, 10.0, 10.0, 50.0, 70.0]).__next__)
    assert "Next: not done, the time is over" in run(tmp_path, "--minutes", "1")
    assert list(Notebook(tmp_path).findings) == ["First"]


def test_no_cell_is_run_where_the_laws_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it found could not be believed."""
    ran: list[object] = []

    def run_all(cells: object, *_: object) -> Finding:
        ran.append(cells)
        return Finding(["cell"], [["one"]])

    monkeypatch.setattr(gpu, "ON_GPU", True)
    monkeypatch.setattr(gpu, "_device_is_lost", lambda: False)
    monkeypatch.setattr(gpu, "forget", lambda: None)
    monkeypatch.setattr(gpu, "cells_in_order", list)
    monkeypatch.setattr(gpu, "run_cells", run_all)
    verdicts = [False, True]
    broken = SimpleNamespace(law="resume", detail="", holds=False)
    whole = SimpleNamespace(law="resume", detail="", holds=True)
    monkeypatch.setattr(correct, "check_search", lambda *_: [whole if verdicts[0] else broken])
    monkeypatch.setattr(gpu, "PARTS", {"Laws on the device": lambda _: correct.laws(SMALL)})
    result = CliRunner().invoke(gpu.main, ["--out", str(tmp_path)])
    assert result.exit_code == 1 and "Cells: not done, what it computes could not be believed" in result.output and not ran
    assert Notebook(tmp_path).findings["Laws on the device"].failed == "edge-popup: resume"
    del verdicts[0]
    assert CliRunner().invoke(gpu.main, ["--out", str(tmp_path)]).exit_code == 0 and ran


def test_without_a_gpu_it_says_how_to_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ON_GPU", False)
    result = CliRunner().invoke(gpu.main, ["--out", str(tmp_path)])
    assert result.exit_code == 1 and "--small tries everything on a CPU" in result.output


def test_cells_are_not_tried_in_small(tmp_path: Path) -> None:
    assert "cells have a paper's budget: leave --small out" in run(tmp_path, "--only", "Cells", status=1)


def test_small_is_small() -> None:
    assert all(case.batch <= 8 for case in SMALL.cases.values())
