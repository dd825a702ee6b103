"""What two processes exchange in a step: the gradient of the free edges alone, so that freezing makes it smaller."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from slt_bench.compute.launch import launch

SCRIPT = """
import time, torch
from slt_bench.compute.world import together
with together() as world:
    vector = torch.randn(int({floats}))
    times = []
    for _ in range(12):
        started = time.perf_counter()
        world.add(vector)
        times.append(time.perf_counter() - started)
    if world.first:
        print(sorted(times)[6])
"""


@pytest.mark.parametrize("freezing_ratio", [0.0, 0.5, 0.7, 0.9])
def test_exchange(benchmark: BenchmarkFixture, freezing_ratio: float, capfd: pytest.CaptureFixture[str]) -> None:
    """ResNet-50 over gloo on one machine."""
    floats = round(25_502_912 * (1 - freezing_ratio))
    os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
    assert benchmark.pedantic(lambda: launch(2, [sys.executable, "-c", SCRIPT.format(floats=floats)]), rounds=1) == 0
    seconds = float(capfd.readouterr().out.split()[0])
    print(f"\nF = {freezing_ratio}: {4 * floats / 1e6:.1f} MB a step, {1000 * seconds:.0f} ms")
