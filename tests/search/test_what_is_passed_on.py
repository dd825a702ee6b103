"""What a search passes on to its parts: split, seed, rate, values of the recipe, roles.

Each is compared with what it is when it is asked for elsewhere: a search that is compared with itself, stopped or by several
processes, is wrong on both sides.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from slt_bench.common.errors import BenchError, Interrupted
from slt_bench.compute.world import ALONE
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import read_manifest
from slt_bench.networks.roles import PRUNED
from slt_bench.params.datasets import View
from slt_bench.params.sources import Source
from slt_bench.records.history import read_history
from slt_bench.search import run as running
from slt_bench.search import trainer as training
from slt_bench.search.epoch_progress import EpochProgress
from slt_bench.search.interrupts import Interrupts
from slt_bench.search.metrics import Metrics, measure
from slt_bench.search.run import search
from slt_bench.search.schedules import Schedule, learning_rate
from slt_bench.search.start import roles_of
from slt_bench.search.steps.gradient import BatchGradient
from slt_bench.search.steps.microbatch import MicrobatchStatistics
from slt_bench.search.steps.step import Step
from slt_bench.ticket.file import read_ticket
from tests.conftest import FROZEN
from tests.search.test_resume import StopAfter
from tests.search.test_search import KINDS, MakeCell
from tests.toys_images import DIGITS
from tests.toys_networks import make_network
from tests.toys_searches import edge_popup, record_of

CPU = torch.device("cpu")


def test_validation_is_of_the_held_out_images_as_a_ticket_shows_them(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell(recipe={"epochs": 1})
    search(cell)
    (epoch,) = read_history(cell.directory / "history.csv")
    file, manifest = read_ticket(cell.directory / "last.safetensors"), read_manifest(Path("data/digits"))
    view = View(mean=file.ticket.spec.mean, std=file.ticket.spec.std)
    (found,) = measure([file.network], Loader(Path("data/digits/train.beton"), view, 50, indices=manifest.split("val")[1]), 10)
    assert found.images == 288 and (epoch.val_top1, epoch.val_loss) == pytest.approx((found.top1, found.loss))


def test_every_step_has_its_rate_its_number_and_its_images(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, step = [], Step.__call__

    def spy(self: Step, images: Tensor, labels: Tensor, phase: int, number: int, rate: float) -> None:
        seen.append((phase, number, rate, labels.tolist()))
        step(self, images, labels, phase, number, rate)

    monkeypatch.setattr(Step, "__call__", spy)
    cell = make_cell(**KINDS["iep"], recipe={"epochs": 6}, seed=3)
    search(cell)
    train = Loader(Path("data/digits/train.beton"), DIGITS, 64, 3, indices=read_manifest(Path("data/digits")).split("train")[1])
    places = [Schedule(cell.phases).at(epoch) for epoch in range(6)]
    expected = [
        (at.phase_number, 17 * at.epoch + n + 1, learning_rate(cell.recipe, at.phase, 17 * at.phase_epoch + n, 17),
         labels.tolist())
        for at in places for n, (_, labels) in enumerate(train.epoch(at.epoch))
    ]  # fmt: skip
    assert seen == expected


@pytest.mark.parametrize(
    "change",
    [{"label_smoothing": 0.3}, {"weight_init": "kaiming_normal"}, {"score_init": "kaiming_uniform"}, {"momentum": 0.5},
     {"weight_decay": 0.1}, {"scale": "dynamic"}, {"warmup_epochs": 1}, {"learning_rate_changes": "every_epoch"}],
)  # fmt: skip
def test_every_value_of_a_recipe_changes_a_search(project: Path, make_cell: MakeCell, change: dict[str, Any]) -> None:
    losses = []
    for recipe in ({}, change):
        cell = make_cell(recipe={"epochs": 2} | recipe)
        search(cell)
        losses.append([epoch.train_loss for epoch in read_history(cell.directory / "history.csv")])
    assert losses[0] != losses[1]


def test_the_first_of_equal_epochs_is_the_best(project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "measure", lambda *_: [Metrics(288, 1.0, 50.0, 90.0, [])])
    assert record_of(make_cell())["best_epoch"] == 1


def test_training_accuracy_is_of_the_images_that_were_seen(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EpochProgress, "totals", lambda *_: (1.0, 17 * 64))
    cell = make_cell(recipe={"epochs": 1})
    search(cell)
    assert read_history(cell.directory / "history.csv")[0].train_top1 == 100


def test_roles_are_those_of_the_parents_ticket(project: Path, make_cell: MakeCell) -> None:
    parent = make_cell(source=FROZEN, sparsity=0.6, recipe={"epochs": 1})
    search(parent)
    source = Source(prune_ratio=0.5, layout="from_ticket", parent=parent.as_parent())
    kept = read_ticket(parent.directory / "ticket.safetensors").network.effective != 0
    plain, shuffled, other = (
        roles_of(make_cell(source=s, seed=seed))
        for s, seed in ((source, 0), (source.model_copy(update={"shuffled": True}), 0), (source, 1))
    )
    assert plain is not None and shuffled is not None and other is not None
    assert not (kept & (plain == PRUNED)).any() and (kept & (shuffled == PRUNED)).any()
    assert not torch.equal(plain, other)


def test_the_gradient_of_a_batch_is_the_mean_of_its_parts() -> None:
    network = make_network("dense")
    method = edge_popup(network)
    network.train()
    images, labels = torch.randn(16, 3, 8, 8), torch.arange(16) % 10
    batch = BatchGradient(network, method, MicrobatchStatistics(network.module, 4, ALONE, CPU), ALONE, 0.1)
    of_all, parts = batch.of(images, labels), []
    assert of_all is not None
    whole = of_all.clone()
    for place in range(0, 16, 4):
        part = slice(place, place + 4)
        cross_entropy(network(images[part]), labels[part], label_smoothing=0.1).backward()
        parts.append(method.gradient(network.collect_gradient()).clone())
    torch.testing.assert_close(whole, torch.stack(parts).mean(0), rtol=1e-4, atol=1e-6)


def test_a_checkpoint_of_other_code_is_refused(project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Interrupted):
        search(make_cell(), StopAfter(1))
    monkeypatch.setattr(running, "cell_code", lambda _: "other")
    with pytest.raises(BenchError, match="made with other code"):
        search(make_cell())


def test_minutes_are_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    now, saved = [0.0], []
    monkeypatch.setattr("slt_bench.search.interrupts.time", SimpleNamespace(monotonic=lambda: now[0]))
    interrupts = Interrupts(2.0)
    interrupts.save = lambda: saved.append(now[0])
    for now[0] in (119.0, 121.0, 122.0, 240.0, 242.0):
        interrupts.after_step(1)
    assert saved == [121.0, 242.0]


def test_the_seconds_before_a_stop_count() -> None:
    state = EpochProgress.begin(2, 1, CPU).state(ALONE) | {"seconds": 100.0}
    assert EpochProgress.resume(state, ALONE, CPU).seconds >= 100


def test_operations_whose_bits_may_differ_are_in_the_record(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "nondeterministic" not in record_of(make_cell(recipe={"epochs": 1}))
    monkeypatch.setattr(running, "reproducible", lambda _: nullcontext({"put_", "histc"}))
    assert record_of(make_cell(recipe={"epochs": 1}, seed=1))["nondeterministic"] == "histc, put_"


def test_operations_before_a_stop_are_in_the_record_too(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(recipe={"epochs": 2})
    monkeypatch.setattr(running, "reproducible", lambda _: nullcontext({"put_"}))
    with pytest.raises(Interrupted):
        search(cell, StopAfter(1))
    monkeypatch.setattr(running, "reproducible", lambda _: nullcontext({"histc"}))
    record = record_of(cell)
    assert record["nondeterministic"] == "histc, put_" and len(record["sessions"]) == 2


def test_operations_of_a_search_that_diverged_are_in_its_record(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "reproducible", lambda _: nullcontext({"put_"}))
    record = record_of(make_cell(recipe={"epochs": 1, "learning_rate": 1e37}))
    assert "diverged" in record and record["nondeterministic"] == "put_"
