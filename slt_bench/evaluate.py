"""Evaluation: a network and a loader -> metrics; a ticket file and test.beton -> metrics.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from slt_bench.checkpoint import write_text
from slt_bench.errors import BenchError
from slt_bench.precision import exact_float32
from slt_bench.processes import ALONE, Processes

if TYPE_CHECKING:
    from slt_bench.data.loader import Loader
    from slt_bench.ticket_file import TicketFile


@dataclass(frozen=True)
class Metrics:
    """What a network does on one split."""

    images: int
    loss: float  # mean cross-entropy
    top1: float  # in percent
    top5: float  # in percent; 100 where there are at most five classes
    confusion: list[list[int]]  # [true class][predicted class]


class _Tally:
    """Running sums of one network's metrics."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self.classes = classes
        self.losses: list[Tensor] = []  # of each batch
        self.device = device
        self.in_top5 = torch.zeros((), dtype=torch.long, device=device)
        self.confusion = torch.zeros(classes * classes, dtype=torch.long, device=device)

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self.losses.append(cross_entropy(logits, labels, reduction="sum").double())
        self.in_top5 += (logits.topk(min(5, self.classes)).indices == labels[:, None]).sum()
        self.confusion += torch.bincount(labels * self.classes + logits.argmax(1), minlength=self.classes**2)

    def metrics(self, batches: int, processes: Processes) -> Metrics:
        """Over all processes; the losses of all batches are added up in their order, whoever measured them."""
        losses = torch.zeros(batches, dtype=torch.float64, device=self.device)
        for number, loss in enumerate(self.losses):
            losses[processes.rank + number * processes.count] = loss
        matrix = processes.total(self.confusion).view(self.classes, self.classes).cpu()
        images = int(matrix.sum())
        return Metrics(
            images=images,
            loss=float(processes.total(losses).sum()) / images,
            top1=100 * int(matrix.diagonal().sum()) / images,
            top5=100 * int(processes.total(self.in_top5)) / images,
            confusion=matrix.tolist(),
        )


@torch.no_grad()
def measure(
    networks: Sequence[nn.Module],
    loader: Loader,
    classes: int,
    processes: Processes = ALONE,
    before_batch: Callable[[int, int], None] | None = None,
) -> list[Metrics]:
    """Run networks in evaluation mode over a loader's images, which are read once; each counts once.

    `before_batch` is called before every batch with its number here and the number of batches that every process has.
    """
    were_training = [network.training for network in networks]
    tallies = [_Tally(classes, torch.device(loader.device)) for _ in networks]
    for network in networks:
        network.eval()
    for number, (images, labels) in enumerate(loader.epoch()):
        if before_batch is not None:
            before_batch(number, len(loader) // processes.count)
        for network, tally in zip(networks, tallies, strict=True):
            tally.add(network(images).float(), labels)
    for network, training in zip(networks, were_training, strict=True):
        network.train(training)
    return [tally.metrics(len(loader), processes) for tally in tallies]


def evaluate(cell_directory: Path, dataset_directory: Path, workers: int = 1) -> dict[str, Any]:
    """Read the tickets of a cell (best and last epoch) and the test images, once; write metrics.json and confusion.json.

    Raises:
        BenchError: a ticket or the test images are missing or damaged.
    """
    from slt_bench.data.loader import Loader
    from slt_bench.data.manifest import read_manifest, verify_file
    from slt_bench.params.images import View
    from slt_bench.ticket_file import read_ticket

    best = read_ticket(cell_directory / "ticket.safetensors")
    last = read_ticket(cell_directory / "last.safetensors")
    manifest = read_manifest(dataset_directory)
    spec = best.ticket.spec
    if manifest.classes != spec.classes or (spec.resize is None and manifest.files["test"].image_size != spec.image_size):
        raise BenchError(f"the tickets in {cell_directory} were found on other classes or image sizes than {dataset_directory}")
    resolution = spec.image_size if spec.resize is not None else None
    view = View(mean=spec.mean, std=spec.std, resolution=resolution, resize=spec.resize)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    path = verify_file(dataset_directory, "test", manifest)
    loader = Loader(path, view, batch_size=256, workers=workers, device=device)
    networks = [file.network.plain_module().to(device) for file in (best, last)]
    with exact_float32():
        of_best, of_last = measure(networks, loader, len(spec.classes))
    metrics = {
        "top1": of_best.top1,
        "top5": of_best.top5,
        "loss": of_best.loss,
        "last_top1": of_last.top1,
        "images": of_best.images,
        "epoch": spec.epoch,
        **_sizes(best),
    }
    confusion = {"classes": spec.classes, "confusion": of_best.confusion}
    write_text(cell_directory / "confusion.json", json.dumps(confusion) + "\n")
    write_text(cell_directory / "metrics.json", json.dumps(metrics, indent=1) + "\n")  # last: with it the cell is done
    return metrics


def _sizes(file: TicketFile) -> dict[str, Any]:
    """What the ticket takes and how many edges it has."""
    from slt_bench.mask_coding import sizes
    from slt_bench.ticket_file import coded_size

    counts, mask = file.counts, file.ticket.mask
    size = sizes(mask, file.network.free_stops) if mask is not None else None
    try:
        coded = coded_size(file)
    except BenchError:  # the coder is not installed
        coded = None
    return {
        "bytes": file.size,
        "coded_bytes": coded,  # of the whole file, with its mask entropy-coded
        "mask_packed_bytes": size.packed if size else None,
        "mask_coded_bytes": size.coded if size else None,
        "mask_bound_bytes": round(size.bound, 1) if size else None,
        "total": counts.total,
        "pruned": counts.pruned,
        "locked": counts.locked,
        "kept": counts.kept,
        "sparsity": 1 - counts.density,
    }
