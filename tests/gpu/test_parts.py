"""What the parts of a run on a GPU make of what they find, with a device that is not there."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
import torch

from benchmarks import cost
from benchmarks.gpu import correct, loaders, timing
from benchmarks.gpu.fast import in_turn
from benchmarks.gpu.loaders import _furthest, rates
from benchmarks.gpu.size import FULL, SMALL
from benchmarks.steps import Case
from slt_bench.data.loader import Loader
from slt_bench.data.resident import ResidentLoader
from tests.toys_images import DIGITS

ROOT = Path(__file__).parents[2]


def test_a_row_that_fails_takes_no_other_with_it() -> None:
    def fails() -> list[object]:
        raise torch.OutOfMemoryError("CUDA out of memory\nand more")

    found = in_turn(
        ["network", "precision", "ms"], {("a", "tf32"): lambda: [1], ("b", "tf32"): fails, ("c", "tf32"): lambda: [3]}, []
    )
    assert found.rows == [["a", "tf32", 1], ["b", "tf32", ""], ["c", "tf32", 3]]
    assert found.failed == "b, tf32: OutOfMemoryError: CUDA out of memory"


def test_another_mask_than_the_cpus_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not correct.selection(SMALL).failed
    monkeypatch.setattr(correct, "DEVICE", "cpu")
    monkeypatch.setattr(torch, "equal", lambda *_: False)
    assert correct.selection(SMALL).failed.startswith("another mask than the CPU's: 1,000 normal, 1,000 ties")


def test_only_waits_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the mode that tells them is put on, torch warns too."""

    def put_on(mode: str) -> None:
        if mode == "warn":
            warnings.warn("Synchronization debug mode does not yet detect all synchronizing operations", stacklevel=1)

    def work() -> None:
        warnings.warn("called a synchronizing CUDA operation", stacklevel=1)

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", put_on)
    assert timing.host_waits(lambda: None) == 0
    with warnings.catch_warnings(action="ignore"):
        assert timing.host_waits(work) == 1


def test_a_device_is_timed_by_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = len(done)

        def synchronize(self) -> None: ...

        def elapsed_time(self, later: Event) -> float:
            return 10.0 * (later.at - self.at)

    done: list[int] = []
    monkeypatch.setattr(timing, "ON_GPU", True)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert timing.milliseconds_a_row(lambda: done.append(1), 7) == timing.milliseconds(lambda: done.append(1), 7) == 10.0


def test_images_are_timed_alone_and_with_steps(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    rows = rates("digits", Case("conv2", 64, image=8, width=0.125), 1)
    assert [row[1:3] for row in rows] == [["from the file", 1], ["from the file", 8], ["from the file", 16]]
    assert all(float(rate.replace(",", "")) > 0 for row in rows for rate in row[3:5])
    monkeypatch.setattr(loaders, "resident_if_possible", ResidentLoader)
    *_, resident = rates("digits", Case("conv2", 64, image=8, width=0.125), 1)
    assert resident[1] == "on the device" and float(resident[5]) == 0


def test_what_is_on_the_device_is_compared_with_what_is_read(digits_directory: Path) -> None:
    reading = Loader(digits_directory / "train.beton", DIGITS, 64, 3)
    assert _furthest(reading, ResidentLoader(reading)) == 0
    other = ResidentLoader(reading)
    other._pixels = other._pixels.clone()
    other._pixels[:, 5, 5] ^= 1
    assert _furthest(reading, other) == pytest.approx(1, abs=1e-3)
    assert _furthest(reading, Loader(digits_directory / "train.beton", DIGITS, 64, 4)) == float("inf")


def test_what_is_measured_is_what_the_model_of_costs_reads() -> None:
    assert {name.split(",")[0] for name in FULL.cases} == set(cost.IMAGES)
