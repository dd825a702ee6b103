"""One search step beside one weight-training step, taken in turns so that both see the same machine."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import pytest

from benchmarks.conftest import search_step, weight_training_step

CASES = {
    "conv6-128-dense": ("conv6", 1.0, 128, 0.0, 0.0),
    "conv6-128-frozen": ("conv6", 1.0, 128, 0.25, 0.25),
    "resnet18-64-dense": ("resnet18", 1.0, 64, 0.0, 0.0),
    "resnet18-64-frozen": ("resnet18", 1.0, 64, 0.25, 0.25),
}
ROUNDS = 9


@pytest.mark.parametrize("case", CASES)
def test_search_step(benchmark, case) -> None:
    kind, width, batch, prune, lock = CASES[case]
    search, training = search_step(kind, width, batch, prune, lock), weight_training_step(kind, width, batch)
    training_times = []

    def train_first() -> None:
        started = perf_counter()
        training()
        training_times.append(perf_counter() - started)

    benchmark.pedantic(search, setup=train_first, rounds=ROUNDS, warmup_rounds=2)
    ratio = benchmark.stats.stats.median / median(training_times[2:])
    benchmark.extra_info["ratio to weight training"] = round(ratio, 3)
    print(f"\n{case}: search step / weight-training step = {ratio:.3f} (medians of {ROUNDS} steps in turns)")
