"""Metrics against a naive count; every image once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from slt_bench.common import paths
from slt_bench.experiment.cell import Cell
from slt_bench.run import evaluate as evaluating
from slt_bench.search.metrics import Metrics, measure
from slt_bench.search.run import search


class Table(nn.Module):
    """A network that looks its logits up: image n holds the number n."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return self.logits[images[:, 0].long()]


class Batches:
    """A loader of images that are there."""

    device = "cpu"

    def __init__(self, images: Tensor, labels: Tensor, size: int) -> None:
        self.batches = list(zip(images.split(size), labels.split(size), strict=True))

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self) -> list[tuple[Tensor, Tensor]]:
        return self.batches


def rank(logits: Tensor, label: int) -> int:
    """How many classes come before an image's own."""
    return sorted(range(7), key=lambda c: -float(logits[c])).index(label)


@pytest.mark.parametrize("batch", [1, 4, 7, 20])
def test_against_a_naive_count(batch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(20, 7, generator=generator), torch.randint(0, 7, (20,), generator=generator)
    images = torch.arange(20.0)[:, None]
    network = Table(logits).train()
    loader: Any = Batches(images, labels, batch)
    (found,) = measure([network], loader, 7)
    ranks = [rank(logits[n], int(labels[n])) for n in range(20)]
    assert found.images == 20 and network.training
    assert found.top1 == pytest.approx(5 * sum(each == 0 for each in ranks))
    assert found.top5 == pytest.approx(5 * sum(each < 5 for each in ranks))
    assert found.loss == pytest.approx(float(nn.functional.cross_entropy(logits, labels)))
    for true in range(7):
        for predicted in range(7):
            expected = int(((labels == true) & (logits.argmax(1) == predicted)).sum())
            assert found.confusion[true][predicted] == expected


def test_fewer_than_five_classes() -> None:
    loader: Any = Batches(torch.arange(3.0)[:, None], torch.tensor([0, 1, 1]), 2)
    (found,) = measure([Table(torch.eye(3))], loader, 3)
    assert found.top5 == 100 and found.top1 == pytest.approx(200 / 3)


def test_the_metrics_of_both_tickets_are_not_mixed_up(
    project: Path, make_cell: Callable[..., Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(recipe={"epochs": 1})
    search(cell)
    best, last = Metrics(359, 1.0, 80.0, 99.0, [[1]]), Metrics(359, 2.0, 70.0, 98.0, [[2]])
    monkeypatch.setattr(evaluating, "measure_tickets", lambda *_: [best, last])
    metrics = evaluating.evaluate(cell.directory, paths.dataset_dir("digits"))
    assert [metrics[name] for name in ("top1", "top5", "loss", "last_top1")] == [80.0, 99.0, 1.0, 70.0]
    assert json.loads((cell.directory / "confusion.json").read_text())["confusion"] == [[1]]
