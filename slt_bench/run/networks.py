"""The trial of all networks of anybody's that params.yaml declares, before a table of their cells fails one by one."""

from __future__ import annotations

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.data.manifest import read_manifest
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.checks import image_size
from slt_bench.experiment.experiments import Experiments
from slt_bench.params.networks import FactoryNetwork

_CLASSES = 10  # where the images, which tell, are not prepared yet


def try_networks(experiments: Experiments) -> list[str]:
    """Build each network of a factory once, for each kind of images that its cells have.

    Args:
        experiments: all that params.yaml declares.

    Returns:
        What is wrong, a line for each network; and nothing of one whose images tell their size only when they are prepared.
    """
    wrong, tried = list[str](), set[tuple[str, int, int]]()
    for cell in experiments.cells().values():
        if not isinstance(cell.network, FactoryNetwork):
            continue
        size, classes = _images(cell)
        if size is None or (cell.network_name, size, classes) in tried:
            continue
        tried.add((cell.network_name, size, classes))
        from slt_bench.networks.registry import architecture

        try:
            architecture(cell.network, size, classes)
        except BenchError as error:
            wrong.append(f"{paths.PARAMS}: networks.{cell.network_name}: {error}")
    return wrong


def _images(cell: Cell) -> tuple[int | None, int]:
    """Look up the side of a cell's images in pixels, None where it is not known yet, and the number of their classes."""
    declared = image_size(cell)
    try:
        manifest = read_manifest(paths.dataset_dir(cell.dataset_name))
    except BenchError:
        return declared, _CLASSES
    return declared or manifest.files["train"].image_size, len(manifest.classes)
