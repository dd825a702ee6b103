"""Selection of half of the scores: radix selection beside torch's sort and k-th value."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from slt_bench.ticket.top_k import keep_largest

SIZES = {"conv6": 2_261_184, "resnet50": 25_502_912}


def by_sort(scores: Tensor, count: int) -> Tensor:
    mask = torch.zeros(len(scores), dtype=torch.bool)
    mask[torch.sort(scores.abs(), descending=True, stable=True).indices[:count]] = True
    return mask


def by_kth_value(scores: Tensor, count: int) -> Tensor:
    magnitude = scores.abs()
    return magnitude >= torch.kthvalue(magnitude, len(scores) - count + 1).values


class Reusing:
    """keep_largest with memory that is reused, as a search calls it."""

    __name__ = "keep_largest_reusing"

    def __init__(self) -> None:
        self.memory: list[Tensor] = []

    def __call__(self, scores: Tensor, count: int) -> Tensor:
        self.memory = self.memory or [torch.empty_like(scores, dtype=kind) for kind in (torch.bool, torch.int16)]
        return keep_largest(scores, count, *self.memory)


@pytest.mark.parametrize("network", SIZES)
@pytest.mark.parametrize("select", [Reusing, keep_largest, by_kth_value, by_sort], ids=lambda select: select.__name__)
def test_selection(benchmark, network, select) -> None:
    select = select() if select is Reusing else select
    scores = torch.randn(SIZES[network], generator=torch.Generator().manual_seed(0))
    mask = benchmark.pedantic(select, (scores, len(scores) // 2), rounds=5, warmup_rounds=1)
    assert abs(int(mask.sum()) - len(scores) // 2) < 10
