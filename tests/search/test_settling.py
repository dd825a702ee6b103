"""Batch-norm statistics of a subnetwork that was cut to size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from slt_bench.compute.world import ALONE
from slt_bench.networks.registry import batch_norms
from slt_bench.search.steps.microbatch import MicrobatchStatistics
from slt_bench.search.steps.settling import gather_statistics
from slt_bench.ticket.masked_network import MaskedNetwork
from tests.toys_tickets import make_ticket


@pytest.mark.slow
def test_the_pass_that_gathers_statistics_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its batches has another momentum: after eight of them the training after it would not be compiled either."""
    graphs, plain = list[torch.fx.GraphModule](), torch.compile

    def note(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda function, **options: plain(function, backend=note, **options))
    results = []
    for compiled in (True, False):
        module, source = make_ticket().spec.build()
        network = MaskedNetwork(module, source, "dynamic", compiled=compiled)
        microbatches = MicrobatchStatistics(module, 1, ALONE, torch.device("cpu"))
        loader: Any = SimpleNamespace(epoch=lambda _: ((torch.full((4, 3, 8, 8), float(n)), None) for n in range(12)))
        gather_statistics(network, microbatches, loader, 0)
        results.append([norm.get_buffer("running_var").clone() for norm in batch_norms(module)])
    assert not graphs and all(map(torch.equal, *results))


def test_gathered_statistics_are_the_means_of_those_of_the_batches() -> None:
    module, source = make_ticket().spec.build()
    network, batches = MaskedNetwork(module, source, "dynamic"), torch.randn(12, 4, 3, 8, 8)
    microbatches = MicrobatchStatistics(module, 1, ALONE, torch.device("cpu"))

    def gathered(those: Iterable[torch.Tensor]) -> torch.Tensor:
        loader: Any = SimpleNamespace(epoch=lambda _: ((images, None) for images in those))
        gather_statistics(network, microbatches, loader, 0)
        assert all(norm.momentum == 0.1 for norm in batch_norms(module))
        return torch.cat([norm.get_buffer("running_mean") for norm in batch_norms(module)]).clone()

    torch.testing.assert_close(gathered(batches), torch.stack([gathered([one]) for one in batches]).mean(0))
