"""Run one cell's search and write its files: two tickets, the history and the record."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol

import torch
from tqdm import tqdm

from slt_bench import paths, record
from slt_bench.cells import Cell
from slt_bench.checkpoint import Checkpoint, exclusive, write_text
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import Manifest, check_manifest, read_manifest, read_origin, verify_file
from slt_bench.errors import Interrupted
from slt_bench.fit import Fit
from slt_bench.history import Epoch, write_history
from slt_bench.ticket_file import save_ticket
from slt_bench.ticket_network import TicketNetwork


class Tracker(Protocol):
    """Who follows a search while it runs."""

    def epoch(self, epoch: Epoch) -> None:
        """Take note of a finished epoch; one may be told twice after an interruption."""


def search(cell: Cell, tracker: Tracker | None = None, workers: int = 1) -> dict[str, Any]:
    """Search the cell's ticket, or go on where a stopped search left off; returns the record.

    Raises:
        BenchError: unusable data or checkpoint, divergence, another process on the same cell.
        Interrupted: Ctrl-C; the same command goes on from the last finished epoch.
    """
    dataset = paths.dataset_dir(cell.dataset_name)
    manifest = read_manifest(dataset)
    check_manifest(manifest, cell.dataset.images, cell.dataset_name)
    code = record.code_digest("slt_bench.search")  # now, not at the end: somebody may edit it meanwhile
    made = {"code": code, "commit": record.code_version(), "started": datetime.now(UTC).isoformat(timespec="seconds")}
    state = paths.state_dir(cell.id, cell.identity)
    with exclusive(state):
        train, val = (verify_file(dataset, split, manifest) for split in ("train", "val"))
        fit = Fit(
            cell,
            manifest,
            Loader(train, cell.dataset, cell.recipe.batch_size, cell.seed, workers),
            Loader(val, cell.dataset, batch_size=256, workers=workers),
            torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        )
        computed = str(fit.network.effective.dtype).removeprefix("torch.")
        key = {"parameters": cell.identity, "data": manifest.digest, "code": code, "precision": computed}
        if fit.roles is not None:  # another search may find another ticket under the same parameters
            key["ticket"] = hashlib.sha256(fit.roles.numpy().tobytes()).hexdigest()[:12]
        checkpoint = Checkpoint(state, key)
        _run(fit, checkpoint, tracker)
        directory = paths.cell_dir(cell.id)
        best, last = fit.tickets()
        for stale in ("metrics.json", "confusion.json"):  # of an earlier ticket
            (directory / stale).unlink(missing_ok=True)
        network = save_ticket(best, directory / "ticket.safetensors")
        save_ticket(last, directory / "last.safetensors")
        write_history(directory / "history.csv", fit.history)
        result = _record(fit, network, manifest, made | {"precision": computed, "roles": key.get("ticket", "")})
        write_text(directory / "search.json", json.dumps(result, indent=1) + "\n")
        checkpoint.delete()
    return result


def _run(fit: Fit, checkpoint: Checkpoint, tracker: Tracker | None) -> None:
    total = fit.schedule.epochs * len(fit.train_loader)
    interactive = sys.stderr.isatty()
    with _stop_on_signal(), tqdm(total=total, desc=fit.cell.id, unit="step", disable=not interactive, leave=False) as bar:

        def after_epoch(fit: Fit) -> None:
            epoch = fit.history[-1]
            if tracker is not None:
                tracker.epoch(epoch)
            bar.n = epoch.epoch * len(fit.train_loader)
            bar.set_postfix(epoch=epoch.epoch, train=f"{epoch.train_top1:.1f}%", val=f"{epoch.val_top1:.1f}%")
            if not interactive:
                print(
                    f"{fit.cell.id}  epoch {epoch.epoch}/{fit.schedule.epochs}  loss {epoch.train_loss:.3f}  "
                    f"val {epoch.val_top1:.2f} %  {fit.seconds[-1]:.1f} s",
                    flush=True,
                )

        try:
            fit.run(checkpoint, after_epoch, bar.update)
        except KeyboardInterrupt:
            done = fit.saved
            raise Interrupted(
                f"stopped in epoch {min(done + 1, fit.schedule.epochs)} of {fit.schedule.epochs}; the same command goes "
                f"on after epoch {done}"
            ) from None


@contextmanager
def _stop_on_signal() -> Iterator[None]:
    """SIGTERM counts as Ctrl-C while the block runs."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
                 "images": {name: split.images for name, split in manifest.splits.items()}},
        **made,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": record.environment(),
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
