"""The check of cells that needs the networks themselves."""

from __future__ import annotations

from slt_bench import networks
from slt_bench.cells import Cell
from slt_bench.errors import BenchError
from slt_bench.layouts import freeze


def check_budgets(cells: list[Cell]) -> None:
    """Spread every cell's budgets over its network's layers, without drawing anything.

    Raises:
        BenchError: naming the cells whose layout does not fit their network.
    """
    problems: dict[str, str] = {}
    done: set[str] = set()
    for cell in cells:
        source = cell.source
        key = f"{cell.network_name} {source.id}"
        if not source.freezing_ratio or key in done:
            continue
        done.add(key)
        image_size = cell.dataset.images.size or {"digits": 8}.get(cell.dataset.images.source, 32)
        classes = 100 if cell.dataset.images.source == "cifar100" else 10
        module = networks.build(cell.network.kind, cell.network.width, image_size, classes, cell.network.batch_norm)
        shapes = [layer.shape for layer in networks.searchable_layers(module)]
        try:
            freeze(shapes, source.prune_ratio, source.lock_ratio, source.layout or "uniform", source.lock_rule or "joint")
        except BenchError as error:
            problems[key] = f"{cell.id}: {error}"
    if problems:
        raise BenchError("\n".join(problems.values()))
