"""Run one cell's search and write its files: two tickets, the history and the record."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from tqdm import tqdm

from slt_bench.common import paths
from slt_bench.common.errors import Interrupted, Preempted
from slt_bench.common.files import check_writable, exclusive, in_turn, write_text
from slt_bench.compute.precision import precision_name, reproducible
from slt_bench.compute.world import ALONE, World
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import Manifest, check_manifest, read_manifest
from slt_bench.data.resident import resident_if_possible
from slt_bench.data.verify import verify_file
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.records import provenance
from slt_bench.records.checksums import remove_results, write_checksums
from slt_bench.records.code_digest import cell_code
from slt_bench.records.history import Epoch, write_history
from slt_bench.records.shared import set_edited_aside
from slt_bench.records.standing import cell_standing
from slt_bench.search.check import check_found, check_start
from slt_bench.search.checkpoint import Checkpoint
from slt_bench.search.interrupts import Interrupts, Stop
from slt_bench.search.record import common_record, full_record
from slt_bench.search.search_log import SearchLog
from slt_bench.search.trainer import Trainer
from slt_bench.ticket.file import save_ticket
from slt_bench.ticket.top_k import Diverged


class Tracker(Protocol):
    """An observer that follows a search while it runs."""

    def epoch(self, epoch: Epoch) -> None:
        """Record a finished epoch; after an interruption one may come twice."""


def search(
    cell: Cell, tracker: Tracker | None = None, machine: Machine | None = None, world: World = ALONE
) -> dict[str, Any] | None:
    """Search the cell's ticket, or go on where a stopped search left off.

    A search that diverges has a record too, with the reason under `diverged`, and no ticket.

    Args:
        cell: the experiment.
        tracker: told of every finished epoch.
        machine: number of loader threads, and how often the state is saved.
        world: the processes that do this search together.

    Returns:
        The record, as it is in search.json; None in all processes but the first.

    Raises:
        BenchError: unusable data or checkpoint, another process works on the cell, or the ticket has a wrong number of edges.
        Diverged: in one of several processes, which has written the record.
        Interrupted: Ctrl-C; the same command goes on where the search was.
        Preempted: SIGTERM; the same command goes on where the search was.
    """
    machine, dataset = machine or Machine(), paths.dataset_dir(cell.dataset_name)
    manifest = read_manifest(dataset)
    check_manifest(manifest, cell.dataset.images, cell.dataset_name)
    code = cell_code(cell)  # now, not at the end: somebody may edit it meanwhile
    made_with = {"code": code, "commit": provenance.code_version(), "parent": provenance.parent_digest(cell.parent_directory)}
    state = paths.state_dir(cell.id, cell.identity)
    with reproducible(cell.recipe.precision == "tf32") as without, exclusive(state) if world.first else nullcontext():
        check_writable(cell.directory)
        trainer: Trainer | None = None
        try:
            trainer = _trainer(cell, manifest, machine, world)
            trainer.log.nondeterministic = without
            made_with["precision"] = precision_name(trainer.network.effective.dtype)
            checkpoint = Checkpoint(state, _key(trainer, manifest, made_with), machine.afresh)
            _run(trainer, checkpoint, tracker, Interrupts(machine.checkpoint_minutes, world, trainer.device))
        except Diverged as error:
            result = _write_divergence(cell, manifest, made_with | _noted(without), str(error), trainer)
            if world.size > 1:  # the others wait for this one, and are ended with it
                raise
            return result
        return _write_tickets(trainer, manifest, made_with | _noted(without)) if world.first else None


def _noted(without: set[str]) -> dict[str, str]:
    return {"nondeterministic": ", ".join(sorted(without))} if without else {}


def _write_tickets(trainer: Trainer, manifest: Manifest, made_with: dict[str, str]) -> dict[str, Any]:
    """Write the results of a finished search: tickets, history and record."""
    directory, (best, last) = trainer.cell.directory, trainer.tickets()
    set_edited_aside(trainer.cell)
    remove_results(directory)
    source = trainer.network.source.to("cpu")
    network = save_ticket(best, directory / "ticket.safetensors", source=source)
    save_ticket(last, directory / "last.safetensors", source=source)
    return _write(trainer.cell, full_record(trainer, network, manifest, made_with), trainer.log.history)


def _write_divergence(
    cell: Cell, manifest: Manifest, made_with: dict[str, str], reason: str, trainer: Trainer | None
) -> dict[str, Any]:
    """Write the results of a search that has no ticket; its state goes too, since a second run would diverge again.

    Each of several processes that notices it writes, in turn, since one may be the only one; but not over what the one before
    has written, since it may be ended on the way.
    """
    log = trainer.log if trainer else SearchLog()
    sessions = log.sessions or [provenance.session()]
    seconds = [round(seconds, 3) for seconds in log.seconds]
    directory, state = cell.directory, paths.state_dir(cell.id, cell.identity)
    result = common_record(cell, manifest, made_with, sessions) | {"diverged": reason, "epoch_seconds": seconds}
    with in_turn(state / "diverged.lock"):
        if cell_standing(cell, manifest.digest).kind != "diverged":
            set_edited_aside(cell)
            remove_results(directory)
            write_text(directory / "metrics.json", json.dumps({"diverged": 1}) + "\n")
            _write(cell, result, log.history)
            write_checksums(directory)
        Checkpoint(state, {}).delete()
    return result


def _key(trainer: Trainer, manifest: Manifest, made_with: dict[str, str]) -> dict[str, str]:
    """Name everything that a saved state must agree with, or the search does not go on from it."""
    key = {"parameters": trainer.cell.identity, "data": manifest.digest}
    key |= {name: made_with[name] for name in ("code", "precision")}
    key |= {"device": trainer.device.type} | provenance.library_versions("torch", "torchvision")
    if trainer.roles is not None:  # another search may find another ticket under the same parameters
        key["ticket"] = hashlib.sha256(trainer.roles.numpy().tobytes()).hexdigest()[:12]
    return key


def _write(cell: Cell, result: dict[str, Any], history: list[Epoch]) -> dict[str, Any]:
    """Write history and record, the record last: with it the search is done."""
    directory = cell.directory
    write_history(directory / "history.csv", history)
    write_text(directory / "search.json", json.dumps(result, indent=1) + "\n")
    return result


def _trainer(cell: Cell, manifest: Manifest, machine: Machine, world: World) -> Trainer:
    """Build the trainer, with loaders of this process's share of the images."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe, dataset, workers = cell.recipe, paths.dataset_dir(cell.dataset_name), machine.workers
    name, indices = manifest.split(recipe.train_on)
    path, share = verify_file(dataset, name, manifest), (world.rank, world.size)
    train = resident_if_possible(Loader(path, cell.dataset, recipe.batch_size, cell.seed, workers, indices, share, device))
    val = None
    if recipe.train_on == "train":
        held_out = manifest.split("val")[1]
        val = resident_if_possible(Loader(path, cell.dataset, 256, None, workers, held_out, share, device))
    return Trainer(cell, manifest, train, val, device, world, machine.graphs)


def _run(trainer: Trainer, checkpoint: Checkpoint, tracker: Tracker | None, interrupts: Interrupts) -> None:
    check_start(trainer)
    steps, epochs, first = len(trainer.train_loader), trainer.schedule.epochs, trainer.world.first
    interactive = sys.stderr.isatty()
    bar = tqdm(total=epochs * steps, desc=trainer.cell.id, unit="step", disable=not (interactive and first), leave=False)

    def after_epoch(trainer: Trainer) -> None:
        check_found(trainer)
        epoch = trainer.log.history[-1]
        if tracker is not None:
            tracker.epoch(epoch)
        val = "" if epoch.val_top1 is None else f"val {epoch.val_top1:.2f} %  "
        bar.n = epoch.epoch * steps
        bar.set_postfix_str(f"epoch {epoch.epoch}  train {epoch.train_top1:.1f} %  {val}")
        if first and not interactive:
            loss, seconds = f"loss {epoch.train_loss:.3f}", f"{trainer.log.seconds[-1]:.1f} s"
            print(f"{trainer.cell.id}  epoch {epoch.epoch}/{epochs}  {loss}  {val}{seconds}", flush=True)

    with interrupts.on_signals(), bar:
        try:
            trainer.run(checkpoint, interrupts, bar.update, after_epoch)
        except Stop as stop:
            done, under_way = trainer.log.epochs, trainer.under_way
            where = f"after epoch {done} of {epochs}"
            if under_way:
                where = f"in epoch {done + 1} of {epochs}, after step {under_way.steps_done} of {steps}"
            kind = Preempted if stop.signal_number == signal.SIGTERM else Interrupted
            raise kind(f"stopped {where}; this is saved, and the same command goes on from there") from None
    check_found(trainer)  # what a saved state held, too
