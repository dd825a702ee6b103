"""Memory of a search by freezing ratio, ResNet-50: what is learned shrinks to (1 - F) N."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from benchmarks.steps import Case
from slt_bench.params.recipes import Recipe
from slt_bench.search.methods.contract import Phase
from slt_bench.search.methods.edge_popup import EdgePopup, ScoreMethod
from slt_bench.search.steps.optimizer import Sgd
from slt_bench.ticket.masked_network import MaskedNetwork


@pytest.mark.parametrize("freezing_ratio", [0.0, 0.5, 0.9])
def test_memory(benchmark: BenchmarkFixture, freezing_ratio: float) -> None:
    module, source = Case("resnet50", 16, 224, freezing_ratio).build()
    search, recipe = EdgePopup(kind="edge-popup"), Recipe(epochs=1, batch_size=2, learning_rate=0.1)

    def build() -> tuple[ScoreMethod[EdgePopup], Sgd]:
        network = MaskedNetwork(module, source, "none", with_gradient=True)
        method = ScoreMethod(search, network, (Phase(1, 0.5),), recipe, seed=0)
        return method, Sgd(method.learned, 0.9, 1e-4)

    method, optimizer = benchmark.pedantic(build, rounds=1)
    scores, velocity, mask = (size(tensor) for tensor in (method.learned, optimizer.velocity, method.network.mask))
    print(
        f"\nF = {freezing_ratio}: scores {scores:.1f} MB, momentum {velocity:.1f} MB, mask {mask:.1f} MB; "
        f"free edges {100 * method.learned.numel() / source.size:.1f} % of {source.size:,}"
    )


def size(tensor: Tensor) -> float:
    return tensor.numel() * tensor.element_size() / 1e6


def test_peak(benchmark: BenchmarkFixture) -> None:
    """A search beside weight training, each in a process of its own, one thread."""

    def measured(kind: str) -> list[int]:
        command = [sys.executable, "-m", "benchmarks.peak", kind]
        return [int(number) for number in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]

    search = benchmark.pedantic(measured, ("search",), rounds=1)
    training = measured("training")
    for what, one, other in zip(("in use at the largest moment", "of the process at most"), search, training, strict=True):
        print(f"\nMB {what}: search {one:,}, training {other:,}, difference {one - other:,}")
