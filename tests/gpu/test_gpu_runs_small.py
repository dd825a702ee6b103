"""What is to be run when there is a GPU runs in small on a CPU, so that it works on the day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.loaders import _furthest
from benchmarks.gpu.notebook import Finding, Notebook
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.size import SMALL
from slt_bench.data.loader import Loader
from slt_bench.data.resident import ResidentLoader
from tests.toys_images import DIGITS

QUICK = [name for name in PARTS if name not in ("torch.compile", "Searches side by side")]


def run(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(gpu.main, ["--small", "--out", str(folder), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


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
    run(tmp_path)
    assert done == ["fine", "broken", "fine"]
    assert Notebook(tmp_path).findings["Broken"].failed == "RuntimeError: CUDA error: something"
    assert "FAILED: RuntimeError" in (tmp_path / "README.md").read_text()
    run(tmp_path)
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

    monkeypatch.setattr(gpu.os, "execv", another)
    result = CliRunner().invoke(gpu.main, ["--small", "--out", str(tmp_path), "--jobs", "3"])
    assert result.exit_code == 7 and "the device is lost to this process" in result.output
    (call,) = calls
    assert call[-6:] == ["--only", "Next", "--only", "Last", "--only", "Cells"]
    assert call[-9:-6] == ["--jobs", "3", "--small"] and f"{tmp_path}" in call
    assert list(Notebook(tmp_path).findings) == ["Broken"]


def test_a_part_that_hides_the_loss_of_its_device_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As laws do, which tell whatever a search raises."""
    monkeypatch.setattr(gpu, "PARTS", {"Hiding": lambda _: Finding(["a"], [[1]])})
    monkeypatch.setattr(gpu, "_device_is_lost", lambda: True)
    monkeypatch.setattr(gpu.os, "execv", lambda *_: gpu.sys.exit(1))
    result = CliRunner().invoke(gpu.main, ["--small", "--out", str(tmp_path), "--cells", "1"])
    assert result.exit_code == 1 and Notebook(tmp_path).findings["Hiding"].failed == "the device was lost to the process"


def test_what_is_on_the_device_is_compared_with_what_is_read(digits_directory: Path, monkeypatch) -> None:
    reading = Loader(digits_directory / "train.beton", DIGITS, 64, 3)
    assert _furthest(reading, ResidentLoader(reading)) == 0
    other = ResidentLoader(reading)
    other._pixels = other._pixels.clone()
    other._pixels[:, 5, 5] ^= 1
    assert _furthest(reading, other) == pytest.approx(1, abs=1e-3)
    assert _furthest(reading, Loader(digits_directory / "train.beton", DIGITS, 64, 4)) == float("inf")


def test_without_a_gpu_it_says_how_to_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ON_GPU", False)
    result = CliRunner().invoke(gpu.main, ["--out", str(tmp_path)])
    assert result.exit_code == 1 and "--small tries everything on a CPU" in result.output


def test_small_is_small() -> None:
    assert all(case.batch <= 8 for case in SMALL.cases.values())
