"""Run one cell's search and write its files: two tickets, the history and the record."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol

import torch
from tqdm import tqdm

from slt_bench import paths, record
from slt_bench.cell import Cell
from slt_bench.checkpoint import Checkpoint, exclusive, write_text
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import Manifest, check_manifest, read_manifest, read_origin, verify_file
from slt_bench.errors import Interrupted, Preempted
from slt_bench.fit import Fit
from slt_bench.fit_state import tickets
from slt_bench.history import Epoch, write_history
from slt_bench.params.machine import Machine
from slt_bench.pause import Pause, Stop
from slt_bench.processes import ALONE, Processes
from slt_bench.ticket_file import save_ticket
from slt_bench.ticket_network import TicketNetwork


class Tracker(Protocol):
    """Who follows a search while it runs."""

    def epoch(self, epoch: Epoch) -> None:
        """Take note of a finished epoch; one may be told twice after an interruption."""


def search(
    cell: Cell, tracker: Tracker | None = None, machine: Machine | None = None, processes: Processes = ALONE
) -> dict[str, Any] | None:
    """Search the cell's ticket, or go on where a stopped search left off; returns the record, in the first process.

    Raises:
        BenchError: unusable data or checkpoint, divergence, another process on the same cell.
        Interrupted: Ctrl-C; Preempted: SIGTERM. The same command goes on where it was.
    """
    machine, dataset = machine or Machine(), paths.dataset_dir(cell.dataset_name)
    manifest = read_manifest(dataset)
    check_manifest(manifest, cell.dataset.images, cell.dataset_name)
    code = record.cell_code()  # now, not at the end: somebody may edit it meanwhile
    made = {"code": code, "commit": record.code_version(), "started": datetime.now(UTC).isoformat(timespec="seconds")}
    made["parent"] = record.parent_digest(cell.source.ticket)
    state = paths.state_dir(cell.id, cell.identity)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with exclusive(state) if processes.first else nullcontext():
        fit = _fit(cell, manifest, machine.workers, device, processes)
        computed = str(fit.network.effective.dtype).removeprefix("torch.")
        key = {"parameters": cell.identity, "data": manifest.digest, "code": code, "precision": computed}
        if fit.roles is not None:  # another search may find another ticket under the same parameters
            key["ticket"] = hashlib.sha256(fit.roles.numpy().tobytes()).hexdigest()[:12]
        checkpoint = Checkpoint(state, key)
        _run(fit, checkpoint, tracker, Pause(machine.checkpoint_minutes, processes, device))
        if not processes.first:
            return None
        directory = paths.cell_dir(cell.id)
        best, last = tickets(fit)
        for stale in ("metrics.json", "confusion.json"):  # of an earlier ticket
            (directory / stale).unlink(missing_ok=True)
        network = save_ticket(best, directory / "ticket.safetensors")
        save_ticket(last, directory / "last.safetensors")
        write_history(directory / "history.csv", fit.history)
        result = _record(fit, network, manifest, made | {"precision": computed})
        write_text(directory / "search.json", json.dumps(result, indent=1) + "\n")
    return result


def _fit(cell: Cell, manifest: Manifest, workers: int, device: torch.device, processes: Processes) -> Fit:
    """The search with its loaders, of this process's share of the images."""
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


def _record(fit: Fit, network: TicketNetwork, manifest: Manifest, made: dict[str, str]) -> dict[str, Any]:
    """Everything needed to believe the result (law 10)."""
    cell, total = fit.cell, fit.network.source.size
    assert fit.best is not None
    counts, layers = network.counts(), list(zip(network.source.layers, network.layer_counts(), strict=True))
    return {
        "cell": cell.id,
        "identity": cell.identity,
        "parameters": cell.model_dump(mode="json"),
        "data": {"digest": manifest.digest, "origin": read_origin(paths.dataset_dir(cell.dataset_name)),
                 "images": manifest.counts()},
        **made,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": record.environment(),
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
