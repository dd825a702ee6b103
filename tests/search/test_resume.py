"""A search that was stopped goes on and ends with the same bits."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from slt_bench.common import paths
from slt_bench.common.errors import BenchError, Interrupted, Preempted, preemptible
from slt_bench.compute.world import ALONE, World
from slt_bench.data.manifest import data_digest, read_manifest
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.params.sources import Source
from slt_bench.records import provenance
from slt_bench.records.history import Epoch
from slt_bench.run.cells import evaluate_cell
from slt_bench.search import run as running
from slt_bench.search.checkpoint import Checkpoint, check_agreement
from slt_bench.search.interrupts import Interrupts, Stop
from slt_bench.search.run import search
from slt_bench.ticket.file import read_ticket, save_ticket
from slt_bench.ticket.found import Found
from tests.search.test_search import KINDS, MakeCell
from tests.toys_searches import record_of


class StopAfter:
    """A tracker that asks the search to stop once it has heard of so many epochs."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def epoch(self, epoch: Epoch) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def stop_after_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sends SIGTERM to the search once it has done so many steps."""
    after_step, left = Interrupts.after_step, [0]

    def counting(self: Interrupts, step: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        after_step(self, step)

    monkeypatch.setattr(Interrupts, "after_step", counting)

    def ask(steps: int) -> None:
        left[0] = steps

    return ask


def files(cell: Cell) -> dict[str, bytes]:
    """What a search made; its state goes, as after the evaluation."""
    directory = cell.directory
    Checkpoint(paths.state_dir(cell.id, cell.identity), {}).delete()
    return {name: (directory / name).read_bytes() for name in ("ticket.safetensors", "last.safetensors", "history.csv")}


FAST = ("ep", "hard iep", "training")


@pytest.mark.parametrize("kind", [kind if kind in FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS])
def test_a_stopped_search_goes_on_and_ends_bit_identical(
    project: Path, make_cell: MakeCell, kind: str, stop_after_steps: Callable[[int], None]
) -> None:
    """Stopped within an epoch, at its last step, at the first after going on, and between epochs; 17 steps an epoch."""
    recipe = {"epochs": 4, "shards": 2, **KINDS[kind].get("recipe", {})}
    cell = make_cell(**{**KINDS[kind], "recipe": recipe})
    search(cell)
    straight = files(cell)
    for path in cell.directory.iterdir():
        path.unlink()
    for steps, where in (
        (5, "in epoch 1 of 4, after step 5"),
        (1, "in epoch 1 of 4, after step 6"),
        (28, "in epoch 2 of 4, after step 17"),
    ):
        stop_after_steps(steps)
        with pytest.raises(Preempted, match=f"stopped {where} of 17; this is saved"):
            search(cell)
    with pytest.raises(Interrupted, match="stopped after epoch 3 of 4; this is saved, and the same command goes on from there"):
        search(cell, StopAfter(2))
    with pytest.raises(Interrupted, match="stopped after epoch 4 of 4"):
        search(cell, StopAfter(1))
    search(cell)
    assert files(cell) == straight
    assert not list(paths.state_dir(cell.id, cell.identity).glob("*.pt"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.campaign)])
def test_a_compiled_search_goes_on_and_ends_bit_identical(
    project: Path, make_cell: MakeCell, backend: str, stop_after_steps: Callable[[int], None], one_compiler: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Graphs are made again in each session, as in the new process that goes on; one way of it makes no kernels, in seconds."""
    plain, compiled = torch.compile, list[object]()

    def count(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        compiled.append(function)
        return plain(function, backend=backend, **options)

    monkeypatch.setattr(torch, "compile", count)
    cell = make_cell(recipe={"epochs": 2, "compile": "always"})
    search(cell)
    straight = files(cell)
    for path in cell.directory.iterdir():
        path.unlink()
    stop_after_steps(20)
    with pytest.raises(Preempted, match="stopped in epoch 2 of 2, after step 3 of 17"):
        search(cell)
    search(cell)
    assert files(cell) == straight and len(compiled) == 3


def test_a_stop_during_validation_is_saved(project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    """With statistics of eight shards, whose mean is taken before: it is not taken again."""
    cell = make_cell(recipe={"epochs": 2, "shards": 8})
    search(cell)
    straight = files(cell)
    asked = [True]

    def between_batches(self: Interrupts, number: int, common: int) -> None:
        if asked.pop() if asked else False:
            os.kill(os.getpid(), signal.SIGTERM)
        plain(self, number, common)

    plain = Interrupts.between_batches
    monkeypatch.setattr(Interrupts, "between_batches", between_batches)
    with pytest.raises(Preempted, match="stopped in epoch 1 of 2, after step 17 of 17"):
        search(cell)
    search(cell)
    assert files(cell) == straight


def test_sigterm_before_the_first_step_and_after_the_last_is_a_preemption_too(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(recipe={"epochs": 1})

    def terminate(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    for place in ("slt_bench.search.run.Trainer", "slt_bench.search.run.Trainer.tickets"):
        with monkeypatch.context() as patched:
            patched.setattr(place, terminate)
            with pytest.raises(Preempted, match="nothing is lost, and the same command goes on"), preemptible():
                search(cell)
    assert record_of(cell)["best_epoch"] == 1


def test_state_is_saved_every_so_many_minutes(project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    save = Checkpoint.save

    def spy(self: Checkpoint, state: dict[str, Any], write: bool = True) -> None:
        saved.append(state["under_way"]["steps_done"] if state["under_way"] else 0)
        save(self, state, write)

    monkeypatch.setattr(Checkpoint, "save", spy)
    search(make_cell(recipe={"epochs": 1}), machine=Machine(checkpoint_minutes=1e-9))
    assert saved == [*range(1, 18), 0]
    saved.clear()
    search(make_cell(recipe={"epochs": 2}, seed=1))
    assert saved == [0, 0]


def test_of_several_processes_none_leaves_before_the_state_is_saved() -> None:
    """Their launcher ends all with the first that goes, and one of them may still write."""
    happened: list[str] = []

    class Two(World):
        def largest(self, value: int, device: torch.device) -> int:
            happened.append("exchange")
            return value

    waits: list[Callable[[Interrupts], None]] = [lambda each: each.after_step(16), lambda each: each.between_batches(0, 1)]
    for wait in waits:
        happened.clear()
        interrupts = Interrupts(None, Two(1, 2))
        interrupts.save, interrupts.signal_number = lambda: happened.append("save"), signal.SIGTERM
        with pytest.raises(Stop):
            wait(interrupts)
        assert happened == ["exchange", "save", "exchange"]


def test_divergences_are_written_in_turn(project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of several processes may notice one together."""
    cell, manifest, under_way = make_cell(), read_manifest(Path("data/digits")), list[int]()
    made_with = {"code": "code", "commit": "commit", "parent": "", "precision": "float32"}

    def begin(directory: Path) -> None:
        under_way.append(threading.get_ident())

    def end(directory: Path) -> None:
        time.sleep(0.05)
        assert under_way == [threading.get_ident()]
        under_way.clear()

    monkeypatch.setattr(running, "remove_results", begin)
    monkeypatch.setattr(running, "write_checksums", end)
    with ThreadPoolExecutor(3) as threads:
        written = [threads.submit(running._write_divergence, cell, manifest, made_with, "NaN", None) for _ in range(3)]
        assert all(each.result()["diverged"] == "NaN" for each in written)


def test_the_seconds_of_epochs_are_those_of_the_clock(
    project: Path, make_cell: MakeCell, stop_after_steps: Callable[[int], None]
) -> None:
    began = time.perf_counter()
    stop_after_steps(5)
    with pytest.raises(Preempted):
        search(make_cell())
    record = record_of(make_cell())
    assert 0 < sum(record["epoch_seconds"]) < time.perf_counter() - began


def test_processes_that_found_different_states_are_refused() -> None:
    class Two(World):
        other = 0

        def largest(self, value: int, device: torch.device) -> int:
            return max(value, self.other if value > 0 else -self.other)

    with pytest.raises(BenchError, match="the processes found different saved states"):
        check_agreement(torch.ones(3), 1, 5, Two(0, 2))
    check_agreement(torch.ones(3), 1, 5, ALONE)


def test_an_heir_does_not_go_on_with_another_ticket(project: Path, make_cell: MakeCell) -> None:
    parent = make_cell(sparsity=0.8)
    source = Source(prune_ratio=0.8, layout="from_ticket", parent=parent.as_parent())
    heir = make_cell(source=source, **KINDS["training"] | {"sparsity": 0.8})
    search(parent)
    with pytest.raises(Interrupted):
        search(heir, StopAfter(1))
    path = parent.directory / "ticket.safetensors"
    ticket = read_ticket(path).ticket
    assert ticket.mask is not None
    save_ticket(replace(ticket, found=Found(ticket.mask.roll(1))), path)
    with pytest.raises(BenchError, match="was made with other ticket"):
        search(heir)


def test_old_tickets_are_not_evaluated_and_the_state_of_the_search_that_goes_on_stays(
    project: Path, make_cell: MakeCell
) -> None:
    cell = make_cell()
    search(cell)
    record, state = cell.directory / "search.json", paths.state_dir(cell.id, cell.identity) / "checkpoint.pt"
    text = record.read_text()
    record.write_text(json.dumps(json.loads(text) | {"code": "older"}))
    with pytest.raises(BenchError, match="is of other code"):
        evaluate_cell(Machine(), cell)
    assert state.is_file()
    record.write_text(text)
    evaluate_cell(Machine(), cell)
    assert not state.exists()


@pytest.mark.parametrize("library", ["torch", "torchvision"])
def test_a_checkpoint_of_another_library_is_refused_by_name(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    cell, real = make_cell(), provenance._version
    with pytest.raises(Interrupted):
        search(cell, StopAfter(1))
    monkeypatch.setattr(provenance, "_version", lambda name: "9.9" if name == library else real(name))
    with pytest.raises(BenchError, match=rf"made with other {library} \({re.escape(str(real(library)))} instead of 9\.9\)"):
        search(cell)


def test_a_record_tells_when_a_search_was_first_begun_and_every_time_that_it_went_on(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, hours = make_cell(), iter(range(10, 24))
    monkeypatch.setattr(provenance, "now", lambda: f"2026-01-01T{next(hours)}:00:00+00:00")
    with pytest.raises(Interrupted):
        search(cell, StopAfter(1))
    found = search(cell)
    assert found is not None and found["started"] == "2026-01-01T10:00:00+00:00"
    assert [session["started"][11:13] for session in found["sessions"]] == ["10", "11"] and found["finished"][11:13] == "12"


def test_a_checkpoint_of_other_data_is_refused(project: Path, make_cell: MakeCell) -> None:
    cell = make_cell()
    with pytest.raises(Interrupted):
        search(cell, StopAfter(1))
    real = (project / "data" / "digits").resolve()
    (project / "data" / "digits").unlink()
    (project / "data" / "digits").mkdir()
    manifest = read_manifest(real)
    classes = [f"other {name}" for name in manifest.classes]
    digest = data_digest(classes, manifest.files, manifest.held_out)
    other = manifest.model_copy(update={"classes": classes, "digest": digest})
    (project / "data" / "digits" / "manifest.json").write_text(other.model_dump_json())
    for split in manifest.files:
        (project / "data" / "digits" / f"{split}.beton").symlink_to(real / f"{split}.beton")
    with pytest.raises(BenchError, match="was made with other data"):
        search(cell)
