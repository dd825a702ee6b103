"""One search step beside one weight-training step, taken in turns so that both see the same machine."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.released import released_step
from benchmarks.steps import DEVICE, Case, search_step, weight_training_step
from slt_bench.params.searches import BUILT_IN, search_class

CASES = {
    "conv6": Case("conv6", 128),
    "conv6-frozen": Case("conv6", 128, freezing_ratio=0.5),
    "conv6-bf16": Case("conv6", 128, precision="bfloat16"),
    "conv6-norm": Case("conv6", 128, batch_norm=True),
    "resnet18": Case("resnet18", 64),
    "resnet18-frozen": Case("resnet18", 64, freezing_ratio=0.5),
    "resnet18-frozen-dynamic": Case("resnet18", 64, freezing_ratio=0.5, scale="dynamic"),
    "resnet18-bf16": Case("resnet18", 64, precision="bfloat16"),
    "resnet50": Case("resnet50", 16, 224),
    "resnet50-8": Case("resnet50", 8, 224),
    "resnet50-frozen": Case("resnet50", 16, 224, freezing_ratio=0.7),
    "resnet50-bf16": Case("resnet50", 16, 224, precision="bfloat16"),
}
ROUNDS = 15


@pytest.mark.parametrize("case", CASES)
def test_search_step(benchmark: BenchmarkFixture, case: str) -> None:
    (search, _), training = search_step(CASES[case]), weight_training_step(CASES[case])
    rounds = rounds_of(CASES[case])
    ratio = in_turns(benchmark, search, training, rounds)
    benchmark.extra_info["ratio to weight training"] = round(ratio, 3)
    print(f"\n{case}: search step / weight-training step = {ratio:.3f} (medians of {rounds} steps in turns, on {DEVICE})")


@pytest.mark.parametrize("case", ["conv6", "resnet18", "resnet50-8"])
def test_step_of_released_codes(benchmark: BenchmarkFixture, case: str) -> None:
    """A step in the way of the released codes beside one of ours, both in float32."""
    rounds = rounds_of(CASES[case])
    ratio = in_turns(benchmark, released_step(CASES[case]), search_step(CASES[case])[0], rounds)
    benchmark.extra_info["ratio to ours"] = round(ratio, 3)
    print(f"\n{case}: step of released codes / search step = {ratio:.3f} (medians of {rounds} steps in turns, on {DEVICE})")


@pytest.mark.parametrize("kind", [kind for kind in BUILT_IN if kind not in ("edge-popup", "weight-training", "random-mask")])
def test_rival_step(benchmark: BenchmarkFixture, kind: str) -> None:
    """A step of every other search beside one of edge-popup, Conv6 at batch 128."""
    parameters = {"iterations": 2} if kind == "iterative-edge-popup" else {"every": 1} if kind == "iterand" else {}
    rival, _ = search_step(CASES["conv6"], search_class(kind)(kind=kind, **parameters))
    ratio = in_turns(benchmark, rival, search_step(CASES["conv6"])[0], ROUNDS)
    benchmark.extra_info["ratio to edge-popup"] = round(ratio, 3)
    print(f"\n{kind}: step / edge-popup step = {ratio:.3f} (medians of {ROUNDS} steps in turns, on {DEVICE})")


def rounds_of(case: Case) -> int:
    """Fewer of large images on a CPU, where a step takes seconds."""
    return ROUNDS if case.image == 32 or DEVICE != "cpu" else 7


def in_turns(benchmark: BenchmarkFixture, one: Callable[[], None], other: Callable[[], None], rounds: int) -> float:
    """The median time of a step over that of another, which is taken before each."""
    other_times = []

    def other_first() -> None:
        started = perf_counter()
        other()
        wait()
        other_times.append(perf_counter() - started)

    def step() -> None:
        one()
        wait()

    benchmark.pedantic(step, setup=other_first, rounds=rounds, warmup_rounds=2)
    assert benchmark.stats is not None
    return benchmark.stats.stats.median / median(other_times[2:])


def wait() -> None:
    """Until the device is done."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
