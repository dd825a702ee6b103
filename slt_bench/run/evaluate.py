"""The evaluation of a cell: its ticket files and test.beton -> metrics.json and confusion.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import write_text
from slt_bench.compute.precision import reproducible
from slt_bench.records.checksums import NAME as CHECKSUMS
from slt_bench.records.checksums import write_checksums
from slt_bench.search.metrics import Metrics, measure

if TYPE_CHECKING:
    from slt_bench.data.loader import Loader
    from slt_bench.experiment.experiments import Experiments
    from slt_bench.ticket.file import TicketFile
    from slt_bench.ticket.ticket import Spec


def evaluate(cell_directory: Path, dataset_directory: Path, workers: int = 1) -> dict[str, Any]:
    """Measure the tickets of a cell (best and last epoch) on the test images, which are read once; write the metrics.

    Args:
        cell_directory: with the ticket files; metrics.json and confusion.json are written there.
        dataset_directory: with test.beton and its manifest.
        workers: threads that load images.

    Returns:
        The content of metrics.json.

    Raises:
        BenchError: a ticket or the test images are missing or damaged.
    """
    from slt_bench.ticket.file import read_ticket

    best = read_ticket(cell_directory / "ticket.safetensors")
    last = read_ticket(cell_directory / "last.safetensors", best)
    spec = best.ticket.spec
    of_best, of_last = measure_tickets((best, last), dataset_directory, f"the tickets in {cell_directory}", workers)
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
    (cell_directory / CHECKSUMS).unlink(missing_ok=True)
    write_text(cell_directory / "confusion.json", json.dumps(confusion) + "\n")
    write_text(cell_directory / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    write_checksums(cell_directory)  # last, since they complete the result
    return metrics


def measure_on(experiments: Experiments, file: TicketFile, dataset: str) -> str:
    """Measure a ticket on the test images of a dataset, which is prepared where it is not there; returns a sentence.

    Raises:
        BenchError: there is no such dataset, its images cannot be had, or they are of other classes or sizes.
    """
    from slt_bench.run.datasets import prepare_named

    prepare_named(experiments, {dataset: experiments.images(dataset)})
    directory = paths.dataset_dir(dataset)
    (metrics,) = measure_tickets([file], directory, "this ticket and its network")
    return f"test top-1 on {dataset}: {metrics.top1:.2f} % ({metrics.correct:,} of {metrics.images:,} images)"


def measure_tickets(files: Sequence[TicketFile], directory: Path, what: str, workers: int = 1) -> list[Metrics]:
    """Measure the networks of tickets on the test images of a dataset, which are read once.

    Args:
        files: tickets of one network, classes and image size.
        directory: with test.beton and its manifest.
        what: is measured, as the message calls it.
        workers: threads that load images.

    Raises:
        BenchError: the images are missing or damaged, or of other classes or sizes.
    """
    spec = files[0].ticket.spec
    loader = _load_test_images(directory, spec, workers)
    if loader is None:
        raise BenchError(f"{what} were found on other classes or image sizes than {directory}")
    networks = [file.network.plain_module().to(loader.device) for file in files]
    with reproducible():
        return measure(networks, loader, len(spec.classes))


def _load_test_images(directory: Path, spec: Spec, workers: int) -> Loader | None:
    """Load the test images of a dataset as a ticket's network sees them; None if they are of other classes or sizes."""
    from slt_bench.data.loader import Loader
    from slt_bench.data.manifest import read_manifest
    from slt_bench.data.resident import resident_if_possible
    from slt_bench.data.verify import verify_file
    from slt_bench.params.datasets import View

    manifest = read_manifest(directory)
    if manifest.classes != spec.classes or (spec.resize is None and manifest.files["test"].image_size != spec.image_size):
        return None
    resolution = spec.image_size if spec.resize is not None else None
    view = View(mean=spec.mean, std=spec.std, resolution=resolution, resize=spec.resize)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    path = verify_file(directory, "test", manifest)
    return resident_if_possible(Loader(path, view, batch_size=256, workers=workers, device=device))


def _sizes(file: TicketFile) -> dict[str, Any]:
    """Count the bytes and edges of a ticket, by their keys in metrics.json."""
    from slt_bench.ticket.sizes import ticket_sizes

    counts, sizes = file.counts, ticket_sizes(file)
    return {
        "bytes": sizes.file,
        "coded_bytes": sizes.file_coded,
        "mask_packed_bytes": sizes.mask_packed,
        "mask_coded_bytes": sizes.mask_coded,
        "mask_bound_bytes": None if sizes.mask_bound is None else round(sizes.mask_bound, 1),
        "total": counts.total,
        "pruned": counts.pruned,
        "locked": counts.locked,
        "kept": counts.kept,
        "sparsity": 1 - counts.density,
    }
