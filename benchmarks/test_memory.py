"""Memory of a search by freezing ratio, ResNet-50: what is learned shrinks to (1 - F) N."""

from __future__ import annotations

import pytest
from torch import Tensor

from benchmarks.conftest import Case
from slt_bench.networks.source import initial_scores
from slt_bench.search.optimizer import Sgd
from slt_bench.ticket.masked_network import MaskedNetwork


@pytest.mark.parametrize("freezing_ratio", [0.0, 0.5, 0.9])
def test_memory(benchmark, freezing_ratio) -> None:
    module, source = Case("resnet50", 16, 224, freezing_ratio).build()

    def build() -> tuple[MaskedNetwork, Sgd]:
        network = MaskedNetwork(module, source, initial_scores(source, 0), "scores", "none")
        return network, Sgd(network.learned, 0.9, 1e-4)

    network, optimizer = benchmark.pedantic(build, rounds=1)
    learned, velocity = size(network.learned), size(optimizer.velocity)
    print(
        f"\nF = {freezing_ratio}: scores {learned:.1f} MB, momentum {velocity:.1f} MB, mask {size(network.mask):.1f} MB; "
        f"free edges {100 * network.learned.numel() / source.size:.1f} % of {source.size:,}"
    )


def size(tensor: Tensor) -> float:
    return tensor.numel() * tensor.element_size() / 1e6
