"""Batch-norm statistics of a subnetwork that was cut to size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from slt_bench.compute.world import ALONE
from slt_bench.laws.toy import make_cell, make_trainer, run
from slt_bench.networks.registry import batch_norm_statistics, batch_norms
from slt_bench.search.checkpoint import Checkpoint
from slt_bench.search.interrupts import Interrupts
from slt_bench.search.methods.signed_edge_popup import SignedEdgePopup
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


def test_the_statistics_of_a_ticket_are_those_of_its_own_mask() -> None:
    search = SignedEdgePopup(kind="signed-edge-popup", threshold="zero")
    trainer = run(make_cell(search))
    ticket = trainer.tickets()[1]
    network = ticket.network()
    assert not torch.equal(trainer.method.compose(0), network.mask), "the steps had another mask"
    microbatches = MicrobatchStatistics(network.module, 1, ALONE, torch.device("cpu"))
    gather_statistics(network, microbatches, trainer.train_loader, trainer.log.epochs - 1)
    for found, stored in zip(
        batch_norm_statistics(network.module), (ticket.batch_norm_mean, ticket.batch_norm_var), strict=True
    ):
        torch.testing.assert_close(found, stored)


def test_the_first_step_has_the_mask_of_the_steps() -> None:
    trainer = make_trainer(make_cell(SignedEdgePopup(kind="signed-edge-popup", threshold="zero")))
    step, right = trainer.do_step, list[bool]()

    def first(*arguments: Any) -> None:
        right.append(torch.equal(trainer.network.mask, trainer.method.learned >= 0))
        step(*arguments)

    trainer.do_step = first  # type: ignore[assignment]  # a step and a note
    with TemporaryDirectory() as folder:
        trainer.run(Checkpoint(Path(folder), {}), Interrupts(), lambda: None, lambda _: None)
    assert right and all(right)


def test_a_norm_that_is_called_twice_has_the_mean_of_all_its_calls() -> None:
    ticket = make_ticket()
    module, source = ticket.spec.build()
    norm, inputs = batch_norms(module)[0], list[torch.Tensor]()
    norm.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    norm.register_forward_hook(lambda part, _, given: given if len(inputs) % 2 == 0 else part(given + 3))
    network, microbatches = (
        MaskedNetwork(module, source, "dynamic"),
        MicrobatchStatistics(module, 1, ALONE, torch.device("cpu")),
    )
    loader: Any = SimpleNamespace(epoch=lambda _: ((torch.randn(4, 3, 8, 8), None) for _ in range(12)))
    gather_statistics(network, microbatches, loader, 0)
    assert len(inputs) == 24
    wanted = torch.stack([each.mean((0, 2, 3)) for each in inputs]).mean(0)
    torch.testing.assert_close(norm.get_buffer("running_mean"), wanted)


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
