"""Evaluation: a network and a loader -> metrics; a ticket file and test.beton -> metrics.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from slt_bench.checkpoint import write_text


@dataclass(frozen=True)
class Metrics:
    """What a network does on one split."""

    images: int
    loss: float  # mean cross-entropy
    top1: float  # in percent
    top5: float  # in percent; 100 where there are at most five classes
    confusion: list[list[int]]  # [true class][predicted class]


@torch.no_grad()
def measure(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], classes: int, device: torch.device) -> Metrics:
    """Run the network in evaluation mode over all batches; each image counts once."""
    was_training = network.training
    network.eval()
    loss = torch.zeros((), dtype=torch.float64, device=device)
    in_top5 = torch.zeros((), dtype=torch.long, device=device)
    confusion = torch.zeros(classes * classes, dtype=torch.long, device=device)
    for images, labels in batches:
        labels = labels.to(device, non_blocking=True)
        logits = network(images.to(device, non_blocking=True)).float()
        loss += cross_entropy(logits, labels, reduction="sum").double()
        in_top5 += (logits.topk(min(5, classes)).indices == labels[:, None]).sum()
        confusion += torch.bincount(labels * classes + logits.argmax(1), minlength=classes * classes)
    network.train(was_training)
    matrix = confusion.view(classes, classes).cpu()
    images_seen = int(matrix.sum())
    return Metrics(
        images=images_seen,
        loss=float(loss) / images_seen,
        top1=100 * int(matrix.diagonal().sum()) / images_seen,
        top5=100 * int(in_top5) / images_seen,
        confusion=matrix.tolist(),
    )


def evaluate(cell_directory: Path, dataset_directory: Path, workers: int = 1) -> dict[str, Any]:
    """Read the tickets of a cell (best and last epoch) and the test images, once; write metrics.json and confusion.json.

    Raises:
        BenchError: a ticket or the test images are missing or damaged.
    """
    from slt_bench.data.loader import Loader
    from slt_bench.data.manifest import read_manifest, verify_file
    from slt_bench.params import View
    from slt_bench.ticket import read_ticket

    best = read_ticket(cell_directory / "ticket.safetensors")
    last = read_ticket(cell_directory / "last.safetensors")
    manifest = read_manifest(dataset_directory)
    spec = best.ticket.spec
    view = View(mean=spec.mean, std=spec.std)
    loader = Loader(verify_file(dataset_directory, "test", manifest), view, batch_size=256, workers=workers)
    device = torch.device("cpu")
    batches = list(loader.epoch())
    of_best = measure(best.network, batches, len(spec.classes), device)
    of_last = measure(last.network, batches, len(spec.classes), device)
    counts = best.counts
    metrics = {
        "top1": of_best.top1,
        "top5": of_best.top5,
        "loss": of_best.loss,
        "last_top1": of_last.top1,
        "images": of_best.images,
        "epoch": spec.epoch,
        "bytes": best.size,
        "total": counts.total,
        "pruned": counts.pruned,
        "locked": counts.locked,
        "kept": counts.kept,
        "sparsity": 1 - counts.density,
    }
    write_text(cell_directory / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    confusion = {"classes": spec.classes, "confusion": of_best.confusion}
    write_text(cell_directory / "confusion.json", json.dumps(confusion) + "\n")
    return metrics
