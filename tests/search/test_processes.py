"""Several processes find the ticket that one finds, bit for bit; one that fails or is stopped ends them all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from slt_bench.common import paths
from slt_bench.common.errors import run_command
from slt_bench.compute.launch import launch, usable_world_size
from slt_bench.compute.world import ALONE, together
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.records.standing import search_standing
from slt_bench.run.cells import search_cell
from slt_bench.search.checkpoint import Checkpoint
from slt_bench.search.methods.random_mask import RandomMask
from slt_bench.search.methods.weight_training import WeightTraining
from slt_bench.search.run import search
from slt_bench.search.steps.microbatch import tree_sum
from tests.conftest import FROZEN
from tests.experiment.test_params import GOOD
from tests.fresh import start_ranks

ROOT = Path(__file__).parent.parent.parent
TOGETHER = """
from pathlib import Path
from slt_bench.experiment.cell import Cell
from tests.search.test_processes import search_together
search_together(Cell.model_validate_json(Path("cell.json").read_text()))
"""
KINDS: dict[str, dict[str, Any]] = {
    "ep in frozen": {"source": FROZEN},
    "training": {"search": WeightTraining(kind="weight-training"), "search_name": "training", "sparsity": 0.0},
    "random": {"search": RandomMask(kind="random-mask"), "search_name": "random"},
}
MakeCell = Callable[..., Cell]


def search_together(cell: Cell) -> None:
    """Take part in a search; the same number of threads in all: kernels add up in another order with another number."""
    torch.set_num_threads(1)

    def main() -> None:
        with together() as world:
            search(cell, machine=Machine(checkpoint_minutes=0.001), world=world)

    run_command(main)


def run(cell: Cell, count: int) -> dict[str, bytes]:
    """The files of a search by so many processes, which are removed."""
    ranks = start_ranks(count, search_together, cell)
    for rank in ranks:
        rank.join()
    assert [rank.exitcode for rank in ranks] == [0] * count
    directory = cell.directory
    found = {name: (directory / name).read_bytes() for name in ("ticket.safetensors", "last.safetensors", "history.csv")}
    for name in found:
        (directory / name).unlink()
    Checkpoint(paths.state_dir(cell.id, cell.identity), {}).delete()  # as after the evaluation
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "where"), [({"learning_rate": 1e37}, "epoch 1, step"), ({"weight_decay": 300.0}, "epoch 2, step")]
)
def test_a_search_of_two_processes_that_diverges_has_a_result(
    project_with_store: Path, make_cell: MakeCell, recipe: dict[str, float], where: str
) -> None:
    """Both notice it; after an epoch their records differ, by its seconds."""
    Path("params.yaml").write_text(GOOD)
    cell = make_cell(recipe={"shards": 2} | recipe)
    search_cell(Machine(processes=2), cell)
    stands = search_standing(cell)
    assert stands.kind == "diverged" and where in stands.reason
    assert not list(paths.state_dir(cell.id, cell.identity).glob("*.pt"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_find_what_one_finds(project: Path, make_cell: MakeCell, kind: str) -> None:
    recipe = {"epochs": 2, "shards": 4, "learning_rate": 0.01 if kind == "training" else 0.1}
    cell = make_cell(**KINDS[kind], recipe=recipe)
    counts = (1, 2, 4) if kind == "ep in frozen" else (1, 2)
    found = [run(cell, count) for count in counts]
    assert all(each == found[0] for each in found)


@pytest.mark.slow
def test_shards_are_another_experiment(project: Path, make_cell: MakeCell) -> None:
    cells = [make_cell(recipe={"shards": shards}) for shards in (1, 2)]
    assert cells[0].identity != cells[1].identity
    assert run(cells[0], 1) != run(cells[1], 1)


@pytest.mark.slow
def test_what_several_processes_began_one_can_end(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell(recipe={"shards": 2, "epochs": 6})
    whole = run(cell, 1)
    Path("cell.json").write_text(cell.model_dump_json())
    script = (
        f"import sys; from slt_bench.compute.launch import launch; sys.exit(launch(2, [sys.executable, '-c', {TOGETHER!r}]))"
    )
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    started = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env=variables)
    checkpoint = paths.state_dir(cell.id, cell.identity) / "checkpoint.pt"
    while not checkpoint.exists():
        assert started.poll() is None
        time.sleep(0.02)
    started.send_signal(signal.SIGTERM)
    _, told = started.communicate(timeout=60)
    assert started.returncode == 75 and told.count("this is saved, and the same command goes on from there") == 1
    assert run(cell, 1) == whole


@pytest.mark.slow
def test_the_failure_of_one_is_told_once_and_ends_all(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slt_bench.compute.launch._PATIENCE", 1.0)
    script = "import os, sys, time\nif os.environ['RANK'] == '1': sys.exit('error: this one went wrong')\ntime.sleep(60)"
    begin = time.monotonic()
    assert launch(3, [sys.executable, "-c", script]) == 1
    assert time.monotonic() - begin < 30
    assert capfd.readouterr().err.count("this one went wrong") == 1


@pytest.mark.slow
@pytest.mark.parametrize("late", [0.0, 1.0])
def test_a_killed_launcher_leaves_nobody_behind(tmp_path: Path, late: float) -> None:
    """Even if it is killed before they have asked to be ended with it."""
    child = (
        "import os, time; from slt_bench.compute.torchrun import end_with_parent\n"
        f"os.environ['RANK'] += '.{late}'\n"
        "open(os.environ['RANK'], 'w').write(str(os.getpid()))\n"
        f"time.sleep({late}); end_with_parent()\n"
        "time.sleep(100)"
    )
    script = f"import sys; from slt_bench.compute.launch import launch; launch(2, [sys.executable, '-c', {child!r}])"
    started = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    while len([file for file in tmp_path.iterdir() if file.read_text()]) < 2:
        time.sleep(0.02)
    started.kill()
    started.wait()
    for file in tmp_path.iterdir():
        for _ in range(200):
            try:
                os.kill(int(file.read_text()), 0)
            except ProcessLookupError:
                break
            time.sleep(0.02)
        else:
            pytest.fail("a child lives on")


def test_as_many_processes_as_micro_batches_allow() -> None:
    assert [usable_world_size(requested, 8) for requested in (1, 2, 3, 7, 8, 100)] == [1, 2, 2, 4, 8, 8]
    assert usable_world_size(8, 1) == 1


@pytest.mark.parametrize("shards", [1, 2, 8])
def test_gradients_are_added_as_a_tree(shards: int) -> None:
    vectors = torch.randn(shards, 1000)
    expected = list(vectors)
    while len(expected) > 1:
        expected = [a + b for a, b in zip(expected[::2], expected[1::2], strict=True)]
    memory = torch.empty(1000)
    assert torch.equal(tree_sum(range(shards), lambda shard: memory.copy_(vectors[shard])), expected[0])


def test_alone_there_is_nothing_to_exchange() -> None:
    vector = torch.randn(5)
    before = vector.clone()
    ALONE.add(vector)
    assert torch.equal(vector, before) and ALONE.largest(3, torch.device("cpu")) == 3
    assert ALONE.total(vector) is vector and ALONE.collect([vector]) == [vector]
