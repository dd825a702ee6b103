"""Whole searches at toy scale: laws 5, 7, 8 and 9."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from slt_bench import paths
from slt_bench.cells import Cell
from slt_bench.errors import BenchError, Interrupted
from slt_bench.evaluate import evaluate
from slt_bench.history import Epoch, read_history
from slt_bench.params import EdgePopup, IterativeEdgePopup, Network, RandomMask, Recipe, WeightTraining
from slt_bench.search import search
from slt_bench.selection import Diverged
from slt_bench.ticket_file import read_ticket
from tests.conftest import DIGITS, FROZEN, PRUNED

WIDER = Network(kind="conv2", width=0.25)
MakeCell = Callable[..., Cell]
IEP = IterativeEdgePopup(kind="iterative-edge-popup", iterations=3)
HARD = IterativeEdgePopup(kind="iterative-edge-popup", iterations=3, space="hard", scores="redrawn", momentum="reset")
KINDS = {
    "ep": {},
    "ep in pruned": {"source": PRUNED},
    "ep in frozen": {"source": FROZEN},
    "iep": {"search": IEP, "search_name": "iep"},
    "hard iep": {"search": HARD, "search_name": "iep-hard", "sparsity": 0.7},
    "local": {"search": EdgePopup(kind="edge-popup", selection="local"), "search_name": "local", "source": FROZEN},
    "training": {"search": WeightTraining(kind="weight-training"), "search_name": "training", "sparsity": 0.0,
                 "recipe": {"learning_rate": 0.01}},
    "random": {"search": RandomMask(kind="random-mask"), "search_name": "random"},
}  # fmt: skip


class StopAfter:
    """A tracker that interrupts the search once it has heard of so many epochs."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def epoch(self, epoch: Epoch) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def files(cell: Cell) -> dict[str, bytes]:
    directory = paths.cell_dir(cell.id)
    return {name: (directory / name).read_bytes() for name in ("ticket.safetensors", "last.safetensors", "history.csv")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_search_goes_on_and_ends_bit_identical(project: Path, make_cell: MakeCell, kind: str) -> None:
    cell = make_cell(**{**KINDS[kind], "recipe": {"epochs": 4, **KINDS[kind].get("recipe", {})}})
    search(cell)
    straight = files(cell)
    for path in paths.cell_dir(cell.id).iterdir():
        path.unlink()
    with pytest.raises(Interrupted, match="stopped in epoch 2 of 4; the same command goes on after epoch 1"):
        search(cell, StopAfter(1))
    with pytest.raises(Interrupted, match="goes on after epoch 3"):
        search(cell, StopAfter(2))
    with pytest.raises(Interrupted, match="goes on after epoch 4"):
        search(cell, StopAfter(1))
    search(cell)
    assert files(cell) == straight
    assert not (paths.state_dir(cell.id, cell.identity) / "checkpoint.pt").exists()


@pytest.mark.slow
def test_searches_find_what_random_masks_do_not(project: Path, make_cell: MakeCell) -> None:
    accuracy = {}
    for kind in ("ep", "ep in frozen", "iep", "random"):
        parts = KINDS[kind]
        cell = make_cell(**parts, recipe={"epochs": 12, "batch_size": 32}, network=WIDER)
        search(cell)
        accuracy[kind] = evaluate(paths.cell_dir(cell.id), paths.dataset_dir("digits"))["top1"]
    assert accuracy.pop("random") < 35
    assert min(accuracy.values()) > 55, accuracy


def test_counts_asked_and_realised_are_equal_and_in_the_record(project: Path, make_cell: MakeCell) -> None:
    for source in (FROZEN, PRUNED):
        record = search(make_cell(source=source, sparsity=0.6, recipe={"epochs": 1}))
        assert record["asked"] == record["realised"]
        assert sum(layer["kept"] for layer in record["layers"]) == record["realised"]["kept"]
        assert record["environment"]["libraries"]["torch"] and record["data"]["images"]["train"] == 1150


def test_the_best_epoch_is_among_those_at_the_final_sparsity(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell(**KINDS["iep"], recipe={"epochs": 9, "batch_size": 32})
    record = search(cell)
    history = read_history(paths.cell_dir(cell.id) / "history.csv")
    final = [epoch for epoch in history if epoch.sparsity == cell.sparsity]
    assert [epoch.epoch for epoch in final] == [7, 8, 9]
    best = max(final, key=lambda epoch: (epoch.val_top1, -epoch.epoch))
    assert (record["best_epoch"], record["best_val_top1"]) == (best.epoch, best.val_top1)
    ticket = read_ticket(paths.cell_dir(cell.id) / "ticket.safetensors")
    assert ticket.ticket.spec.epoch == best.epoch and ticket.counts.kept == best.kept
    assert [epoch.learning_rate for epoch in history[::3]] == [0.1, 0.1, 0.1]  # rewound


def test_dying_edges_are_those_in_no_mask(project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    from slt_bench.ticket_network import TicketNetwork

    masks: list[torch.Tensor] = []
    select = TicketNetwork.select

    def spy(self: TicketNetwork, keep: list[int]) -> torch.Tensor:
        masks.append(select(self, keep).clone())
        return masks[-1]

    monkeypatch.setattr(TicketNetwork, "select", spy)
    record = search(make_cell(recipe={"epochs": 2}))
    never = ~torch.stack(masks).any(0)
    assert record["dying_edge_ratio"] == pytest.approx(float(never.float().mean()))
    assert 0 < record["dying_edge_ratio"] < 0.5


def test_a_random_mask_never_changes(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell(**KINDS["random"])
    record = search(cell)
    assert record["dying_edge_ratio"] == pytest.approx(0.5, abs=1e-3)
    first, last = (read_ticket(paths.cell_dir(cell.id) / name) for name in ("ticket.safetensors", "last.safetensors"))
    assert first.ticket.mask is not None and last.ticket.mask is not None
    assert torch.equal(first.ticket.mask, last.ticket.mask)


def test_divergence_names_epoch_and_step(project: Path, make_cell: MakeCell) -> None:
    with pytest.raises(Diverged, match=r"epoch \d+, step \d+: a score is NaN or infinite"):
        search(make_cell(recipe={"learning_rate": 1e37}))
    with pytest.raises(Diverged, match=r"epoch \d+, step \d+: the loss is"):
        search(make_cell(**{**KINDS["training"], "recipe": {"learning_rate": 1e10}}))


def test_a_checkpoint_of_other_data_is_refused(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell()
    with pytest.raises(Interrupted):
        search(cell, StopAfter(1))
    real = (project / "data" / "digits").resolve()
    (project / "data" / "digits").unlink()
    (project / "data" / "digits").mkdir()
    manifest = json.loads((real / "manifest.json").read_text())
    (project / "data" / "digits" / "manifest.json").write_text(json.dumps(manifest | {"digest": "other"}))
    for split in manifest["splits"]:
        (project / "data" / "digits" / f"{split}.beton").symlink_to(real / f"{split}.beton")
    with pytest.raises(BenchError, match="was made with other data"):
        search(cell)


def test_data_made_with_other_parameters_is_refused(project: Path, make_cell: MakeCell) -> None:
    other = DIGITS.model_copy(update={"images": DIGITS.images.model_copy(update={"validation": 0.3})})
    with pytest.raises(BenchError, match=r"prepared with validation 0\.2 instead of 0\.3: `slt-bench prepare digits`"):
        search(make_cell(dataset=other))


def test_batch_larger_than_the_split(project: Path, make_cell: MakeCell) -> None:
    with pytest.raises(BenchError, match="batch_size 1200 exceeds the 1150 training images"):
        search(make_cell(recipe=Recipe(epochs=1, batch_size=1200, learning_rate=0.1).model_dump()))


def test_a_history_reads_back_value_for_value(project: Path, make_cell: MakeCell) -> None:
    heard: list[Epoch] = []

    class Listen:
        def epoch(self, epoch: Epoch) -> None:
            heard.append(epoch)

    cell = make_cell(recipe={"epochs": 2})
    search(cell, Listen())
    assert read_history(paths.cell_dir(cell.id) / "history.csv") == heard
