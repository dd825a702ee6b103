"""Datasets before a search: whether their images can be had, and preparing those that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import in_turn
from slt_bench.compute.devices import cores
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.params.datasets import Images
from slt_bench.records.standing import prepared_images


def check_images(experiments: Experiments, name: str) -> None:
    """Check that the images of a dataset can be had, before any is read.

    Args:
        experiments: the datasets, and the tables that need them.
        name: the dataset's.

    Raises:
        BenchError: they cannot; it names the variable that says where they are, the tables that need them, and how to make
            the other tables.
    """
    from slt_bench.data.sources.registry import check_named

    tables = [table for table, experiment in experiments.tables.items() if experiment.table.dataset == name]
    try:
        check_named(experiments.params.datasets[name].images)
    except BenchError as error:
        without = f" (without them no table {', '.join(tables)}; `dvc repro -k` makes the others)" if tables else ""
        raise BenchError(f"dataset {name}: {error}{without}") from None


def missing_images(experiments: Experiments, cells: Iterable[Cell]) -> list[str]:
    """Describe, a line each, the datasets of cells that are not prepared and whose images cannot be had.

    Args:
        experiments: the datasets, and the tables that need them.
        cells: those to run.
    """
    lines = []
    for name, digest in prepared_images(list(cells)).items():
        if digest is None:
            try:
                check_images(experiments, name)
            except BenchError as error:
                lines.append(str(error))
    return lines


def prepare_dataset(experiments: Experiments, name: str) -> None:
    """Write the files of a dataset.

    Args:
        experiments: the datasets, and the tables that need them.
        name: the dataset's.

    Raises:
        BenchError: there is no such dataset, or its images cannot be had.
    """
    images = experiments.images(name)
    from slt_bench.data.manifest import read_origin
    from slt_bench.data.prepare import prepare

    check_images(experiments, name)
    manifest = prepare(images, paths.dataset_dir(name), _threads(experiments.params.machine.workers))
    counts = ", ".join(f"{count:,} {split}" for split, count in manifest.counts().items())
    print(f"{name}: {counts} images of {read_origin(paths.dataset_dir(name))}, digest {manifest.digest[:12]}")


def prepare_missing(experiments: Experiments, cells: Iterable[Cell]) -> None:
    """Write the datasets of cells that are not prepared, or are prepared from other parameters.

    Args:
        experiments: the datasets, and the tables that need them.
        cells: those to run.

    Raises:
        BenchError: the images of a dataset cannot be had.
    """
    prepare_named(experiments, {cell.dataset_name: cell.dataset.images for cell in cells})


def prepare_named(experiments: Experiments, datasets: Mapping[str, Images]) -> None:
    """Write datasets, by their names, as `prepare_missing` does."""
    for name, images in datasets.items():
        if _reason_to_prepare(name, images):
            with in_turn(paths.STATE / "prepare.lock"):  # of an array of jobs the first to come does it
                if reason := _reason_to_prepare(name, images):
                    print(f"{reason}; doing so")
                    prepare_dataset(experiments, name)


def prepare_on_worker(cell: Cell, workers: int) -> None:
    """Write the dataset of a cell if this machine, which does not see the head's directory, has none or another.

    Args:
        cell: says what the dataset is made of.
        workers: threads that read and encode, if there are fewer cores.

    Raises:
        BenchError: its images cannot be had here.
    """
    from slt_bench.data.prepare import prepare

    name, images = cell.dataset_name, cell.dataset.images
    with in_turn(paths.STATE / "prepare.lock"):
        if _reason_to_prepare(name, images):
            prepare(images, paths.dataset_dir(name), _threads(workers))


def _threads(workers: int) -> int:
    """Count the threads that prepare images: as many as there are cores, or as loaders have, if that is more."""
    return max(workers, cores())


def _reason_to_prepare(name: str, images: Images) -> BenchError | None:
    from slt_bench.data.manifest import check_manifest, read_manifest

    try:
        check_manifest(read_manifest(paths.dataset_dir(name)), images, name)
    except BenchError as reason:
        return reason
    return None
