"""The record of a search: everything that is needed to believe its result (law 10)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from slt_bench.common import paths
from slt_bench.data.manifest import Manifest, read_origin
from slt_bench.experiment.cell import Cell
from slt_bench.records import provenance
from slt_bench.search.trainer import Trainer
from slt_bench.ticket.masked_network import MaskedNetwork


def common_record(cell: Cell, manifest: Manifest, made_with: dict[str, str], sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the part of a record together that every search has: what it was made with and from.

    Args:
        cell: the experiment.
        manifest: of its dataset.
        made_with: digest of the code, commit, digest of the parent's ticket, precision; operations without a kernel that
            gives equal bits.
        sessions: one for each time that the search was begun or resumed, at least one.

    Returns:
        The values, as they are in search.json.
    """
    return {
        "cell": cell.id,
        "identity": cell.identity,
        "parameters": cell.parameters(),
        "data": {"digest": manifest.digest, "origin": read_origin(paths.dataset_dir(cell.dataset_name)),
                 "images": manifest.counts(), "stored": cell.dataset.images.stored_how},
        **made_with,
        "started": sessions[0]["started"],
        "sessions": sessions,
        "finished": provenance.now(),
        "environment": provenance.environment() | {"threads": sessions[-1]["threads"]},
    }  # fmt: skip


def full_record(trainer: Trainer, network: MaskedNetwork, manifest: Manifest, made_with: dict[str, str]) -> dict[str, Any]:
    """Put the record of a search that found a ticket together.

    Args:
        trainer: the finished search.
        network: rebuilt from the best ticket.
        manifest: of the dataset.
        made_with: digest of the code, commit, digest of the parent's ticket, precision; operations without a kernel that
            gives equal bits.

    Returns:
        The values, as they are in search.json.
    """
    cell, total = trainer.cell, trainer.network.source.size
    assert trainer.best is not None
    counts, layers = network.counts(), list(zip(network.source.layers, network.layer_counts(), strict=True))
    return common_record(cell, manifest, made_with, trainer.log.sessions) | {
        "processes": trainer.world.size,
        "epoch_seconds": [round(seconds, 3) for seconds in trainer.log.seconds],
        "asked": {"total": total, "pruned": round(cell.source.prune_ratio * total),
                  "locked": round(cell.source.lock_ratio * total), "kept": total - round(cell.sparsity * total)},
        "realised": {"total": total, "pruned": counts.pruned, "locked": counts.locked, "kept": counts.kept},
        "layers": [{"name": layer.name, **asdict(counts), "kept": counts.kept} for layer, counts in layers],
        "emptied_layers": [layer.name for layer, counts in layers if not counts.kept],
        "best_epoch": trainer.best.epoch,
        "best_val_top1": trainer.best.val_top1,
        "last_val_top1": trainer.log.history[-1].val_top1,
        "dying_edge_ratio": trainer.masks.dying_edge_ratio,
    }  # fmt: skip
