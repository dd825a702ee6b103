"""Selection of half of the scores: radix selection beside torch's sort and k-th value."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from slt_bench.ticket.top_k import TopK

SIZES = {"conv6": 2_261_184, "resnet50": 25_502_912}


def by_sort(scores: Tensor, count: int) -> Tensor:
    mask = torch.zeros(len(scores), dtype=torch.bool)
    mask[torch.sort(scores.abs(), descending=True, stable=True).indices[:count]] = True
    return mask


def by_kth_value(scores: Tensor, count: int) -> Tensor:
    magnitude = scores.abs()
    return magnitude >= torch.kthvalue(magnitude, len(scores) - count + 1).values


def once(scores: Tensor, count: int) -> Tensor:
    return TopK().keep(scores, count, torch.empty_like(scores, dtype=torch.bool))


class Again:
    """A choice after another of nearly the same scores, as in a search."""

    __name__ = "again"

    def __init__(self) -> None:
        self.top_k: TopK | None = None
        self.mask = torch.empty(0, dtype=torch.bool)

    def __call__(self, scores: Tensor, count: int) -> Tensor:
        if self.top_k is None:
            self.top_k, self.mask = TopK(), torch.empty_like(scores, dtype=torch.bool)
        return self.top_k.keep(scores, count, self.mask)


@pytest.mark.parametrize("network", SIZES)
@pytest.mark.parametrize("way", [Again, once, by_kth_value, by_sort], ids=lambda way: way.__name__)
def test_selection(benchmark: BenchmarkFixture, network: str, way: Any) -> None:
    select = way() if way is Again else way
    scores = torch.randn(SIZES[network], generator=torch.Generator().manual_seed(0))
    mask = benchmark.pedantic(select, (scores, len(scores) // 2), rounds=5, warmup_rounds=1)
    assert abs(int(mask.sum()) - len(scores) // 2) < 10
