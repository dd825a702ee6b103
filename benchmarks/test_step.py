"""One search step beside one weight-training step, taken in turns so that both see the same machine."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import pytest
import torch

from benchmarks.conftest import DEVICE, Case, search_step, weight_training_step

CASES = {
    "conv6": Case("conv6", 128),
    "conv6-frozen": Case("conv6", 128, freezing_ratio=0.5),
    "conv6-bf16": Case("conv6", 128, precision="bfloat16"),
    "resnet18": Case("resnet18", 64),
    "resnet18-frozen": Case("resnet18", 64, freezing_ratio=0.5),
    "resnet18-frozen-dynamic": Case("resnet18", 64, freezing_ratio=0.5, scale="dynamic"),
    "resnet18-bf16": Case("resnet18", 64, precision="bfloat16"),
    "resnet50": Case("resnet50", 16, 224),
    "resnet50-frozen": Case("resnet50", 16, 224, freezing_ratio=0.7),
    "resnet50-bf16": Case("resnet50", 16, 224, precision="bfloat16"),
}
ROUNDS = 15


@pytest.mark.parametrize("case", CASES)
def test_search_step(benchmark, case) -> None:
    (search, _), training = search_step(CASES[case]), weight_training_step(CASES[case])
    training_times = []

    def train_first() -> None:
        started = perf_counter()
        training()
        wait()
        training_times.append(perf_counter() - started)

    def step() -> None:
        search()
        wait()

    rounds = ROUNDS if CASES[case].image == 32 or DEVICE != "cpu" else 7
    benchmark.pedantic(step, setup=train_first, rounds=rounds, warmup_rounds=2)
    ratio = benchmark.stats.stats.median / median(training_times[2:])
    benchmark.extra_info["ratio to weight training"] = round(ratio, 3)
    print(f"\n{case}: search step / weight-training step = {ratio:.3f} (medians of {rounds} steps in turns, on {DEVICE})")


def wait() -> None:
    """Until the device is done."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
