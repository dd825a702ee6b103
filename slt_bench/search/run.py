"""Run one cell's search and write its files: two tickets, the history and the record."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any, Protocol

import torch
from tqdm import tqdm

from slt_bench.common import paths
from slt_bench.common.errors import Interrupted, Preempted
from slt_bench.common.files import check_writable, exclusive, write_text
from slt_bench.compute.precision import exact_float32
from slt_bench.compute.world import ALONE, Processes
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import Manifest, check_manifest, read_manifest, read_origin
from slt_bench.data.verify import verify_file
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.records import provenance
from slt_bench.records.checksums import remove_results, write_checksums
from slt_bench.records.code_digest import cell_code
from slt_bench.records.history import Epoch, write_history
from slt_bench.search.checkpoint import Checkpoint
from slt_bench.search.interrupts import Pause, Stop
from slt_bench.search.state import tickets
from slt_bench.search.trainer import Fit
from slt_bench.ticket.file import save_ticket
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.top_k import Diverged


class Tracker(Protocol):
    """Who follows a search while it runs."""

    def epoch(self, epoch: Epoch) -> None:
        """Take note of a finished epoch; one may be told twice after an interruption."""


def search(
    cell: Cell, tracker: Tracker | None = None, machine: Machine | None = None, processes: Processes = ALONE
) -> dict[str, Any] | None:
    """Search the cell's ticket, or go on where a stopped search left off; returns the record, in the first process.

    A search that diverges has a record too, with the reason under `diverged`, and no ticket.

    Raises:
        BenchError: unusable data or checkpoint, another process on the same cell.
        Diverged: one of several processes found so; it has written the record.
        Interrupted: Ctrl-C; Preempted: SIGTERM. The same command goes on where it was.
    """
    machine, dataset = machine or Machine(), paths.dataset_dir(cell.dataset_name)
    manifest = read_manifest(dataset)
    check_manifest(manifest, cell.dataset.images, cell.dataset_name)
    code = cell_code()  # now, not at the end: somebody may edit it meanwhile
    made = {"code": code, "commit": provenance.code_version(), "parent": provenance.parent_digest(cell.parent_directory)}
    state = paths.state_dir(cell.id, cell.identity)
    with exact_float32(), exclusive(state) if processes.first else nullcontext():
        check_writable(cell.directory)
        fit: Fit | None = None
        try:
            fit = _fit(cell, manifest, machine.workers, processes)
            made["precision"] = str(fit.network.effective.dtype).removeprefix("torch.")
            checkpoint = Checkpoint(state, _key(fit, manifest, made))
            _run(fit, checkpoint, tracker, Pause(machine.checkpoint_minutes, processes, fit.device))
        except Diverged as error:
            result = _write_divergence(cell, manifest, made, str(error), fit)
            if processes.count > 1:  # the others wait for this one, and are ended with it
                raise
            return result
        return _write_tickets(fit, manifest, made) if processes.first else None


def _write_tickets(fit: Fit, manifest: Manifest, made: dict[str, str]) -> dict[str, Any]:
    directory, (best, last) = fit.cell.directory, tickets(fit)
    remove_results(directory)
    source = fit.network.source.to("cpu")
    network = save_ticket(best, directory / "ticket.safetensors", source=source)
    save_ticket(last, directory / "last.safetensors", source=source)
    return _write(fit.cell, _of_search(fit, network, manifest, made), fit.history)


def _write_divergence(cell: Cell, manifest: Manifest, made: dict[str, str], reason: str, fit: Fit | None) -> dict[str, Any]:
    """What is kept of a search that has no ticket; run again it would diverge again."""
    sessions = (fit.sessions if fit else []) or [provenance.session()]
    seconds = [round(each, 3) for each in fit.seconds] if fit else []
    directory = cell.directory
    remove_results(directory)
    write_text(directory / "metrics.json", json.dumps({"diverged": 1}) + "\n")
    result = _common(cell, manifest, made, sessions) | {"diverged": reason, "epoch_seconds": seconds}
    _write(cell, result, fit.history if fit else [])
    write_checksums(directory)
    Checkpoint(paths.state_dir(cell.id, cell.identity), {}).delete()
    return result


def _key(fit: Fit, manifest: Manifest, made: dict[str, str]) -> dict[str, str]:
    """Everything that a saved state must agree with to be gone on from."""
    key = {"parameters": fit.cell.identity, "data": manifest.digest, "code": made["code"], "precision": made["precision"]}
    key |= {"device": fit.device.type} | provenance.library_versions("torch", "torchvision")
    if fit.roles is not None:  # another search may find another ticket under the same parameters
        key["ticket"] = hashlib.sha256(fit.roles.numpy().tobytes()).hexdigest()[:12]
    return key


def _write(cell: Cell, result: dict[str, Any], history: list[Epoch]) -> dict[str, Any]:
    """Write history and record, the record last: with it the search is done."""
    directory = cell.directory
    write_history(directory / "history.csv", history)
    write_text(directory / "search.json", json.dumps(result, indent=1) + "\n")
    return result


def _fit(cell: Cell, manifest: Manifest, workers: int, processes: Processes) -> Fit:
    """The search with its loaders, of this process's share of the images."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe, dataset = cell.recipe, paths.dataset_dir(cell.dataset_name)
    name, indices = manifest.split(recipe.train_on)
    path, share = verify_file(dataset, name, manifest), (processes.rank, processes.count)
    train = Loader(path, cell.dataset, recipe.batch_size, cell.seed, workers, indices, share, device)
    val = None
    if recipe.train_on == "train":
        val = Loader(path, cell.dataset, 256, None, workers, manifest.split("val")[1], share, device)
    return Fit(cell, manifest, train, val, device, processes)


def _run(fit: Fit, checkpoint: Checkpoint, tracker: Tracker | None, pause: Pause) -> None:
    steps, epochs, first = len(fit.train_loader), fit.schedule.epochs, fit.processes.first
    interactive = sys.stderr.isatty()
    bar = tqdm(total=epochs * steps, desc=fit.cell.id, unit="step", disable=not (interactive and first), leave=False)

    def after_epoch(fit: Fit) -> None:
        epoch = fit.history[-1]
        if tracker is not None:
            tracker.epoch(epoch)
        val = "" if epoch.val_top1 is None else f"val {epoch.val_top1:.2f} %  "
        bar.n = epoch.epoch * steps
        bar.set_postfix_str(f"epoch {epoch.epoch}  train {epoch.train_top1:.1f} %  {val}")
        if first and not interactive:
            print(
                f"{fit.cell.id}  epoch {epoch.epoch}/{epochs}  loss {epoch.train_loss:.3f}  {val}{fit.seconds[-1]:.1f} s",
                flush=True,
            )

    with pause.on_signals(), bar:
        try:
            fit.run(checkpoint, after_epoch, bar.update, pause)
        except Stop as stop:
            done, under_way = len(fit.history), fit.under_way
            where = f"after epoch {done} of {epochs}"
            if under_way:
                where = f"in epoch {done + 1} of {epochs}, after step {under_way.step} of {steps}"
            kind = Preempted if stop.number == signal.SIGTERM else Interrupted
            raise kind(f"stopped {where}; this is saved, and the same command goes on from there") from None


def _common(cell: Cell, manifest: Manifest, made: dict[str, str], sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """What a search was made with and from (law 10)."""
    return {
        "cell": cell.id,
        "identity": cell.identity,
        "parameters": cell.parameters(),
        "data": {"digest": manifest.digest, "origin": read_origin(paths.dataset_dir(cell.dataset_name)),
                 "images": manifest.counts(), "stored": cell.dataset.images.stored_how},
        **made,
        "started": sessions[0]["started"],
        "sessions": sessions,
        "finished": provenance.now(),
        "environment": provenance.environment() | {"threads": sessions[-1]["threads"]},
    }  # fmt: skip


def _of_search(fit: Fit, network: MaskedNetwork, manifest: Manifest, made: dict[str, str]) -> dict[str, Any]:
    """Everything needed to believe the result (law 10)."""
    cell, total = fit.cell, fit.network.source.size
    assert fit.best is not None
    counts, layers = network.counts(), list(zip(network.source.layers, network.layer_counts(), strict=True))
    return _common(cell, manifest, made, fit.sessions) | {
        "processes": fit.processes.count,
        "epoch_seconds": [round(seconds, 3) for seconds in fit.seconds],
        "asked": {"total": total, "pruned": round(cell.source.prune_ratio * total),
                  "locked": round(cell.source.lock_ratio * total), "kept": total - round(cell.sparsity * total)},
        "realised": {"total": total, "pruned": counts.pruned, "locked": counts.locked, "kept": counts.kept},
        "layers": [{"name": layer.name, **asdict(counts), "kept": counts.kept} for layer, counts in layers],
        "emptied_layers": [layer.name for layer, counts in layers if not counts.kept],
        "best_epoch": fit.best["epoch"],
        "best_val_top1": fit.best["val_top1"],
        "last_val_top1": fit.history[-1].val_top1,
        "dying_edge_ratio": fit.masks.dying_edge_ratio,
    }  # fmt: skip
