"""Whole searches at toy scale: budgets, best epochs, phases, tickets as sources."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.compute.threads import threads_that_pay
from slt_bench.data.manifest import read_manifest
from slt_bench.experiment.cell import Cell
from slt_bench.networks.source import initial_scores
from slt_bench.params.machine import Machine
from slt_bench.params.networks import Network
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import Phase, Search, search_class
from slt_bench.params.sources import Source
from slt_bench.records.code_digest import cell_code
from slt_bench.records.history import Epoch, read_history
from slt_bench.records.standing import cell_standing, is_done
from slt_bench.run.cells import evaluate_cell, run_cell
from slt_bench.run.evaluate import evaluate
from slt_bench.search.methods.edge_popup import EdgePopup
from slt_bench.search.methods.gem_miner import GemMiner
from slt_bench.search.methods.iterative_edge_popup import IterativeEdgePopup
from slt_bench.search.methods.random_mask import RandomMask
from slt_bench.search.methods.signed_edge_popup import SignedEdgePopup
from slt_bench.search.methods.signed_supermask import SignedSupermask
from slt_bench.search.methods.weight_training import WeightTraining
from slt_bench.search.run import _write_divergence, search
from slt_bench.search.start import make_spec
from slt_bench.search.steps.optimizer import Sgd
from slt_bench.search.steps.selector import Selector
from slt_bench.ticket.file import read_ticket, save_ticket
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.top_k import TopK, keep_unseen
from tests.conftest import FROZEN, PRUNED
from tests.toys_images import DIGITS
from tests.toys_searches import record_of
from tests.toys_tickets import make_ticket

WIDER = Network(kind="conv2", width=0.25)
MakeCell = Callable[..., Cell]
IEP = IterativeEdgePopup(kind="iterative-edge-popup", iterations=3)
HARD = IterativeEdgePopup(kind="iterative-edge-popup", iterations=3, space="hard", scores="redrawn", momentum="reset")
KINDS: dict[str, dict[str, Any]] = {
    "ep": {},
    "ep in pruned": {"source": PRUNED},
    "ep in frozen": {"source": FROZEN},
    "iep": {"search": IEP, "search_name": "iep"},
    "hard iep": {"search": HARD, "search_name": "iep-hard", "sparsity": 0.7},
    "local": {"search": EdgePopup(kind="edge-popup", selection="local"), "search_name": "local", "source": FROZEN},
    "training": {"search": WeightTraining(kind="weight-training"), "search_name": "training", "sparsity": 0.0,
                 "recipe": {"learning_rate": 0.01}},
    "random": {"search": RandomMask(kind="random-mask"), "search_name": "random"},
    "cut to size": {"search": SignedEdgePopup(kind="signed-edge-popup", threshold="zero"), "search_name": "cut"},
}  # fmt: skip


def test_training_on_all_images_reports_the_last_epoch(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell(recipe={"train_on": "all", "epochs": 2})
    record = record_of(cell)
    history = read_history(cell.directory / "history.csv")
    assert record["best_epoch"] == 2 and record["best_val_top1"] is None
    assert [epoch.val_top1 for epoch in history] == [None, None] and history[1].train_top1 > history[0].train_top1
    metrics = evaluate(cell.directory, paths.dataset_dir("digits"))
    assert metrics["top1"] == metrics["last_top1"]
    ticket = cell.directory / "ticket.safetensors"
    save_ticket(read_ticket(ticket).ticket, Path("coded"), mask="coded")
    assert (metrics["bytes"], metrics["coded_bytes"]) == (ticket.stat().st_size, Path("coded").stat().st_size)


@pytest.mark.slow
def test_searches_find_what_random_masks_do_not(project: Path, make_cell: MakeCell) -> None:
    accuracy = {}
    for kind in ("ep", "ep in frozen", "iep", "random"):
        parts = KINDS[kind]
        cell = make_cell(**parts, recipe={"epochs": 12, "batch_size": 32}, network=WIDER)
        search(cell)
        accuracy[kind] = evaluate(cell.directory, paths.dataset_dir("digits"))["top1"]
    assert accuracy.pop("random") < 35
    assert min(accuracy.values()) > 55, accuracy


def test_counts_asked_and_realised_are_equal_and_in_the_record(project: Path, make_cell: MakeCell) -> None:
    for source in (FROZEN, PRUNED):
        record = record_of(make_cell(source=source, sparsity=0.6, recipe={"epochs": 1}))
        assert record["asked"] == record["realised"]
        assert sum(layer["kept"] for layer in record["layers"]) == record["realised"]["kept"]
        assert record["environment"]["libraries"]["torch"] and record["data"]["images"]["train"] == 1150


def test_the_best_epoch_is_among_those_at_the_final_sparsity(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell(**KINDS["iep"], recipe={"epochs": 9, "batch_size": 32})
    record = record_of(cell)
    history = read_history(cell.directory / "history.csv")
    final = [epoch for epoch in history if epoch.sparsity == cell.sparsity]
    assert [epoch.epoch for epoch in final] == [7, 8, 9]
    best = max(final, key=lambda epoch: (epoch.val_top1, -epoch.epoch))
    assert (record["best_epoch"], record["best_val_top1"]) == (best.epoch, best.val_top1)
    ticket = read_ticket(cell.directory / "ticket.safetensors")
    assert ticket.ticket.spec.epoch == best.epoch and ticket.counts.kept == best.kept
    assert [epoch.learning_rate for epoch in history[::3]] == [0.1, 0.1, 0.1]  # rewound


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Every mask that a search uses, in order."""
    seen: list[torch.Tensor] = []
    select = Selector.select

    def spy(self: Selector, ranking: Tensor, keep: list[int], by_magnitude: bool = True) -> None:
        select(self, ranking, keep, by_magnitude)
        seen.append(self.network.mask.clone())

    monkeypatch.setattr(Selector, "select", spy)
    return seen


def test_dying_edges_are_those_in_no_mask(project: Path, make_cell: MakeCell, masks: list[torch.Tensor]) -> None:
    cell = make_cell(recipe={"epochs": 2})
    record = record_of(cell)
    never = ~torch.stack(masks).any(0)
    assert record["dying_edge_ratio"] == pytest.approx(float(never.float().mean()))
    assert 0 < record["dying_edge_ratio"] < 0.5
    steps = len(masks) // 2  # one more at the start of each epoch
    churn = [epoch.mask_churn for epoch in read_history(cell.directory / "history.csv")]
    ends = [masks[0], masks[steps - 1], masks[-1]]
    assert churn == pytest.approx([float((a ^ b).float().mean()) for a, b in pairwise(ends)])


@pytest.mark.parametrize(
    "cut",
    [
        SignedEdgePopup(kind="signed-edge-popup", threshold="zero"),
        SignedSupermask(kind="signed-supermask", threshold=5.0),
        GemMiner(kind="gem-miner", period=1),
    ],
    ids=lambda cut: str(cut.kind),
)
def test_no_edge_of_a_ticket_is_dead(project: Path, make_cell: MakeCell, cut: Search) -> None:
    """Those of a ticket that is cut to size may have been in no mask of a step."""
    cell = make_cell(search=cut, search_name="cut", sparsity=0.3, recipe={"epochs": 2})
    record, history = record_of(cell), read_history(cell.directory / "history.csv")
    dropped = 1 - record["realised"]["kept"] / record["realised"]["total"] + 1e-9
    assert record["dying_edge_ratio"] <= dropped and all(epoch.dying_edge_ratio <= dropped for epoch in history)


@pytest.mark.parametrize("scores", ["carried", "redrawn", "rewound"])
@pytest.mark.parametrize("selection", ["global", "local"])
def test_hard_iterations_search_inside_the_last_mask_alone(
    project: Path, make_cell: MakeCell, masks: list[torch.Tensor], scores: str, selection: str
) -> None:
    hard = HARD.model_copy(update={"scores": scores, "selection": selection})
    cell = make_cell(search=hard, search_name="hard", sparsity=0.8, recipe={"epochs": 3, "batch_size": 256})
    search(cell)
    steps = len(masks) // 3
    for number in (1, 2):
        before, during = masks[number * steps - 1], masks[number * steps : (number + 1) * steps]
        assert not any(bool((mask & ~before).any()) for mask in during)
        assert int(during[0].sum()) < int(before.sum())


def test_local_hard_search_gives_no_layer_back(project: Path, make_cell: MakeCell, masks: list[torch.Tensor]) -> None:
    """Largest remainders may give a layer one edge more as the total falls; a hard search may not."""
    rising = [0.0001 * step for step in range(1, 31)]
    hard = IterativeEdgePopup(kind="iterative-edge-popup", sparsities=rising, space="hard", selection="local")
    cell = make_cell(search=hard, search_name="hard", sparsity=rising[-1], recipe={"epochs": 30, "batch_size": 1000})
    search(cell)
    for before, after in pairwise(masks[1::2]):
        assert not bool((after & ~before).any())


@pytest.mark.parametrize("scores", ["carried", "redrawn", "rewound"])
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("hard", [True, False])
def test_what_a_phase_begins_with(scores: Literal["carried", "redrawn", "rewound"], reset: bool, hard: bool) -> None:
    module, source = make_ticket().spec.model_copy(update={"seed": 5}).build()
    network, phases = MaskedNetwork(module, source, "none"), (Phase(1, 0.6), Phase(1, 0.7, True, scores, hard, reset))
    method = IEP.algorithm(IEP, network, phases, Recipe(epochs=2, batch_size=2, learning_rate=0.1), 5)
    optimizer = Sgd(method.learned, 0.9, 0.0)
    method.learned.mul_(1.5)
    optimizer.velocity.fill_(2.0)
    mask = method.compose(0).clone() if hard else torch.ones_like(network.mask)
    expected = {"carried": 1.5 * initial_scores(source, 5), "redrawn": initial_scores(source, 5, draw=3),
                "rewound": initial_scores(source, 5)}  # fmt: skip
    method.begin_phase(phases[1], 3, optimizer)
    assert torch.equal(method.learned, expected[scores] * mask)
    assert torch.equal(optimizer.velocity, torch.full_like(optimizer.velocity, 0.0 if reset else 2.0) * mask)


def test_a_ticket_is_trained_on_and_its_roles_are_taken(project: Path, make_cell: MakeCell) -> None:
    parent = make_cell(sparsity=0.8)
    source = Source(prune_ratio=0.8, layout="from_ticket", parent=parent.as_parent())
    heir = make_cell(source=source, **KINDS["training"] | {"sparsity": 0.8})
    with pytest.raises(BenchError, match=f"first `slt-bench run {parent.id}`"):
        search(heir)
    search(parent)
    search(heir)
    found, trained = (read_ticket(cell.directory / "ticket.safetensors").network for cell in (parent, heir))
    assert torch.equal(trained.effective != 0, found.effective != 0)
    assert not torch.equal(trained.effective, found.effective)
    parameters = parent.as_parent().model_copy(update={"identity": "another"})
    other = heir.model_copy(update={"source": source.model_copy(update={"parent": parameters})})
    with pytest.raises(BenchError, match="was found with other parameters"):
        search(other)


def test_bfloat16_searches_and_its_ticket_is_exact(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell(recipe={"precision": "bfloat16", "epochs": 4})
    record = record_of(cell)
    assert record["precision"] == "bfloat16" and record["asked"] == record["realised"]
    network = read_ticket(cell.directory / "ticket.safetensors").network
    assert network.effective.dtype == torch.float32
    assert record["best_val_top1"] > 20


def test_a_random_mask_never_changes(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell(**KINDS["random"])
    record = record_of(cell)
    assert record["dying_edge_ratio"] == pytest.approx(0.5, abs=1e-3)
    first, last = (read_ticket(cell.directory / name) for name in ("ticket.safetensors", "last.safetensors"))
    assert first.ticket.mask is not None and last.ticket.mask is not None
    assert torch.equal(first.ticket.mask, last.ticket.mask)


def test_a_ticket_of_another_size_is_no_result(project: Path, make_cell: MakeCell) -> None:
    """Nor does it become one when the command is given again, and goes on from the saved state."""
    kind = "tests.laws.broken:OneTooMany"
    cell = make_cell(search=search_class(kind)(kind=kind), recipe={"epochs": 1})
    for _ in range(2):
        with pytest.raises(BenchError, match=r"OneTooMany, after epoch 1, keeps 3,117 edges, and not the 3,116 of sparsity"):
            search(cell)
    assert not list(cell.directory.glob("*.safetensors")) and not is_done(cell)


def test_a_ticket_of_no_edge_is_refused_before_the_search(project: Path, make_cell: MakeCell) -> None:
    with pytest.raises(BenchError, match=r"sparsity 0\.999999999999 leaves none of the [\d,]+ edges of "):
        search(make_cell(sparsity=1 - 1e-12))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("Larger", "finds 6,232 free edges, and not the 3,116 that its network keeps"),
        ("WeightsToo", "must find a mask, and no trained weights"),
        ("Uncoated", "finds kept edges with no coat"),
    ],
)
def test_a_ticket_that_is_not_what_was_searched_is_no_result(project: Path, make_cell: MakeCell, name: str, wrong: str) -> None:
    kind = f"tests.laws.broken:{name}"
    cell = make_cell(search=search_class(kind)(kind=kind), recipe={"epochs": 1})
    with pytest.raises(BenchError, match=f"^{kind}, after epoch 1, {wrong}: `slt-bench check-search {kind}` tries its laws"):
        search(cell)
    assert not list(cell.directory.glob("*.safetensors")) and not is_done(cell)


def test_what_phases_ask_for_and_nobody_does_is_refused_before_the_first_epoch(project: Path, make_cell: MakeCell) -> None:
    kind = "tests.laws.broken:Unheeded"
    with pytest.raises(BenchError, match=f"^{kind} has phases with scores, .*ScoreMethod, does not heed"):
        search(make_cell(search=search_class(kind)(kind=kind)))


@pytest.mark.parametrize("epochs", [1, 2])
def test_weights_that_explode_without_a_nan_have_diverged_too(project: Path, make_cell: MakeCell, epochs: int) -> None:
    """Under a batch norm they are finite, and so is the loss, where the variance of what they give is not."""
    recipe = {"learning_rate": 1e7, "batch_size": 400, "epochs": epochs}
    network = Network(kind="conv2", width=0.125, batch_norm=True)
    record = record_of(make_cell(**{**KINDS["training"], "network": network, "recipe": recipe}))
    assert re.match(r"epoch 1: (a batch norm's statistics are|the validation loss is) NaN or infinite", record["diverged"])


def test_divergence_names_epoch_and_step(project: Path, make_cell: MakeCell) -> None:
    record = record_of(make_cell(recipe={"learning_rate": 1e37}))
    assert re.match(r"epoch \d+, step \d+: a score is NaN or infinite", record["diverged"])
    record = record_of(make_cell(**{**KINDS["training"], "recipe": {"learning_rate": 1e10}}))
    assert re.match(r"epoch \d+, step \d+: the loss is", record["diverged"])


def test_divergence_that_no_selection_sees_is_found_at_the_end_of_the_epoch(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the selection does not look."""
    monkeypatch.setattr(TopK, "keep", lambda _self, scores, count, mask, by=True: keep_unseen(scores, count, mask, by))
    record = record_of(make_cell(recipe={"learning_rate": 1e37}))
    assert record["diverged"] == "epoch 1: a score is NaN or infinite"


def test_a_search_that_diverged_is_a_result_and_is_not_run_again(
    project: Path, make_cell: MakeCell, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = make_cell(recipe={"learning_rate": 1e37})
    for _ in range(2):
        run_cell(Machine(), cell)
    out = capsys.readouterr().out
    assert out.count("DIVERGED: epoch 1, step ") == 2 and "holds the result of this search" in out
    assert is_done(cell) and not list(cell.directory.glob("*.safetensors"))
    assert not list(paths.state_dir(cell.id, cell.identity).glob("*.pt"))
    with pytest.raises(BenchError, match=f"the search of {cell.id} diverged: epoch 1"):
        evaluate_cell(Machine(), cell)


def test_a_source_from_a_ticket_that_diverged_has_a_result_that_says_so(project: Path, make_cell: MakeCell) -> None:
    parent = make_cell(recipe={"learning_rate": 1e37})
    source = Source(prune_ratio=0.5, layout="from_ticket", parent=parent.as_parent())
    heir = make_cell(source=source)
    with pytest.raises(BenchError, match="first `slt-bench run"):
        search(heir)
    search(parent)
    record = record_of(heir)
    assert record["diverged"] == f"its source takes its roles from the ticket of {parent.id}, which diverged"
    assert is_done(heir)


def test_the_last_phase_decides_even_where_two_keep_as_many_edges(project: Path, make_cell: MakeCell) -> None:
    search_of = IterativeEdgePopup(kind="iterative-edge-popup", sparsities=[0.5, 0.5000001])
    cell = make_cell(search=search_of, sparsity=0.5000001, recipe={"epochs": 4})
    record = record_of(cell)
    kept = [epoch.kept for epoch in read_history(cell.directory / "history.csv")]
    assert len(set(kept)) == 1 and record["best_epoch"] in (3, 4)


def test_stale_tickets_are_not_evaluated(project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make_cell(recipe={"epochs": 1})
    with pytest.raises(BenchError, match="is not there; `slt-bench run"):
        evaluate_cell(Machine(), cell)
    search(cell)
    record = json.loads((cell.directory / "search.json").read_text())
    for name, what in (("identity", "parameters"), ("code", "code")):
        (cell.directory / "search.json").write_text(json.dumps(record | {name: "of another time"}))
        with pytest.raises(BenchError, match=f"is of other {what}; `slt-bench run"):
            evaluate_cell(Machine(), cell)
    (cell.directory / "search.json").write_text(json.dumps(record))
    evaluate_cell(Machine(), cell)
    (cell.directory / "ticket.safetensors").unlink()
    with pytest.raises(BenchError, match=r"is without its ticket\.safetensors"):
        evaluate_cell(Machine(), cell)


def test_a_divergence_whose_digests_were_not_written_gets_them(project: Path, make_cell: MakeCell) -> None:
    """As after a kill between the record and its digests; else the cell would be missing for ever."""
    cell = make_cell(**{**KINDS["training"], "recipe": {"learning_rate": 1e10}})
    search(cell)
    (cell.directory / "SHA256SUMS").unlink()
    assert cell_standing(cell, None).kind == "missing"
    run_cell(Machine(), cell)
    assert cell_standing(cell, None).kind == "diverged"


def test_float32_is_float32_and_the_record_says_so(project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, forward = set(), MaskedNetwork.forward

    def look(network: MaskedNetwork, images: Tensor) -> Tensor:
        seen.add((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return forward(network, images)

    monkeypatch.setattr(MaskedNetwork, "forward", look)
    before = torch.backends.cudnn.allow_tf32
    assert before, "torch's default has changed: there is nothing to turn off"
    record = record_of(make_cell(recipe={"epochs": 1}))
    assert seen == {(False, False)} and record["environment"]["tf32"] is False
    assert torch.backends.cudnn.allow_tf32 == before


def test_results_that_cannot_be_written_are_noticed_before_the_search(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell()
    (project / "outputs").write_text("a file where a folder should be")
    with pytest.raises(BenchError, match=r"cannot write into outputs/cells/.*Not a directory"):
        search(cell, _Never())


class _Never:
    def epoch(self, epoch: Epoch) -> None:
        raise AssertionError("a search that cannot be kept was begun")


@pytest.mark.parametrize(("edges", "threads"), [(6_000, 1), (100_000, 2)])
def test_small_networks_ask_for_one_thread(edges: int, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_that_pay(edges, 64):
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


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
    assert read_history(cell.directory / "history.csv") == heard


@pytest.mark.slow
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    """Beside a busy process for every core, two threads on toy tensors took a hundred times as long."""
    script = "import os\nfrom slt_bench.compute.memory import prepare_to_compute\nprepare_to_compute()\n"
    script += "import torch\ntorch.set_num_threads(2)\nprint(torch.__config__.parallel_info())"
    for policy, told in (("", "PASSIVE"), ("active", "ACTIVE")):
        given = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        given |= {"OMP_DISPLAY_ENV": "true"} | ({"OMP_WAIT_POLICY": policy} if policy else {})
        done = subprocess.run([sys.executable, "-c", script], env=given, capture_output=True, text=True, check=True)
        assert f"OMP_WAIT_POLICY = '{told}'" in done.stderr, done.stderr


def test_train_and_test_images_of_unlike_sizes_are_refused_before_the_search(project: Path, make_cell: MakeCell) -> None:
    manifest = read_manifest(project / "data/digits")
    files = manifest.files | {"test": manifest.files["test"].model_copy(update={"image_size": 12})}
    with pytest.raises(BenchError, match="the images of digits are no squares of one size: give it a resolution and a resize"):
        make_spec(make_cell(), manifest.model_copy(update={"files": files}))


def test_the_second_process_that_diverges_writes_nothing_anew(project: Path, make_cell: MakeCell) -> None:
    """It may be ended on the way, and nothing would be left."""
    cell = make_cell(recipe={"learning_rate": 1e37})
    search(cell)
    before = {path.name: path.stat().st_mtime_ns for path in cell.directory.iterdir()}
    _write_divergence(cell, read_manifest(project / "data/digits"), {"code": cell_code(cell), "parent": ""}, "again", None)
    assert before == {path.name: path.stat().st_mtime_ns for path in cell.directory.iterdir()}
