"""What the statistics cost: every step's share, and once an epoch."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.steps import Case, search_step
from slt_bench.records.history import QUANTILES
from slt_bench.search.steps.mask_statistics import MaskStatistics, magnitude_quantiles

CASES = {"conv6": Case("conv6", 128), "resnet50": Case("resnet50", 16, 224)}


@pytest.mark.parametrize("case", CASES)
def test_share_of_a_step(benchmark: BenchmarkFixture, case: str) -> None:
    step, method = search_step(CASES[case])
    masks, times = MaskStatistics(method.learned.numel()), []

    def step_first() -> None:
        started = perf_counter()
        step()
        times.append(perf_counter() - started)

    benchmark.pedantic(lambda: masks.see(method.network.mask), setup=step_first, rounds=5, warmup_rounds=1)
    assert benchmark.stats is not None
    share = 100 * benchmark.stats.stats.median / median(times)
    print(f"\n{case}: statistics take {share:.2f} % of a step")


@pytest.mark.parametrize("case", CASES)
def test_once_an_epoch(benchmark: BenchmarkFixture, case: str) -> None:
    _, method = search_step(CASES[case])
    masks = MaskStatistics(method.learned.numel())

    def once() -> None:
        masks.churn(method.network.mask)
        magnitude_quantiles(method.learned, QUANTILES)
        method.network.layer_counts()

    benchmark.pedantic(once, rounds=5, warmup_rounds=1)
