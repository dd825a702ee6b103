"""Names, tags and numbers under which MLflow shows cells and their results."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from slt_bench.common.text import digest
from slt_bench.experiment.cell import Cell
from slt_bench.records.history import QUANTILES, Epoch
from slt_bench.records.result import Result
from slt_bench.report.palette import source_colour


def run_name(cell: Cell) -> str:
    """Write the name of the run of a cell's setting; the run of a seed adds the seed."""
    return f"{cell.search_name} {cell.source.id} s{cell.sparsity:g} {cell.network_name} {cell.dataset_name} {cell.recipe_name}"


def setting_parameters(cell: Cell) -> dict[str, Any]:
    """Collect the parameters that all seeds of a cell's setting have: of a parent that follows the seed, not which it is."""
    parameters = cell.parameters(seed=False)
    if cell.source.parent and not cell.source.parent.own_seed:
        for name in ("id", "identity", "seed"):
            del parameters["source"]["parent"][name]
    return parameters


def tags_of(table: str, cell: Cell) -> dict[str, str]:
    """Collect the tags by which runs are filtered and coloured."""
    return {"table": table, "setting": cell.setting, "source": cell.source.kind, "search": cell.search_name,
            "network": cell.network_name, "dataset": cell.dataset_name, "mlflow.source.name": "slt-bench",
            "mlflow.runColor": source_colour(cell)}  # fmt: skip


def result_digest(result: Result) -> str:
    """Compute the digest of a result, by which its run is known to be up to date."""
    return digest([result.record, result.metrics])


def outcome(result: Result) -> dict[str, float]:
    """Collect a result's numbers by the names under which MLflow shows them; numbers that it does not have are left out."""
    record, metrics, source = result.record, result.metrics, result.cell.source
    numbers = {f"test_{name}": metrics[name] for name in ("top1", "top5", "loss", "last_top1")}
    numbers |= {"ticket_bytes": metrics["bytes"], "ticket_coded_bytes": metrics.get("coded_bytes")}
    numbers |= {name: record[name] for name in ("best_epoch", "best_val_top1", "dying_edge_ratio")}
    numbers |= {name: metrics.get(name) for name in ("mask_coded_bytes", "mask_bound_bytes")}
    numbers |= {f"edges_{name}": metrics[name] for name in ("total", "pruned", "locked", "kept")}
    numbers |= {"sparsity": result.cell.sparsity, "freezing_ratio": source.freezing_ratio}
    numbers |= {"seconds": sum(record["epoch_seconds"])}
    return {name: float(value) for name, value in numbers.items() if value is not None}


def epoch_numbers(epoch: Epoch) -> dict[str, float]:
    """Collect an epoch's metrics; a slash in the names of layers and quantiles lets MLflow group their charts."""
    values = {name: value for name, value in asdict(epoch).items() if value is not None}
    for name in ("epoch", "sparsity"):  # the steps; what the cell asks for
        del values[name]
    layers, quantiles = values.pop("layer_density"), values.pop("score_quantiles")
    values |= {f"score_quantile/{share:02d}": value for share, value in zip(QUANTILES, quantiles, strict=True)}
    return values | {f"layer_density/{number:03d}": density for number, density in enumerate(layers)}


def milliseconds(moment: str) -> int:
    """Convert an ISO 8601 moment to milliseconds since 1970, as MLflow counts time."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
