"""What MLflow shows of cells and their results: names, tags and numbers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from slt_bench.common.text import digest
from slt_bench.experiment.cell import Cell
from slt_bench.records.history import QUANTILES, Epoch
from slt_bench.records.result import Result
from slt_bench.tracking.view import colour


def run_name(cell: Cell) -> str:
    """Of the run of a cell's setting; that of a seed says the seed too."""
    return f"{cell.search_name} {cell.source.id} s{cell.sparsity:g} {cell.network_name} {cell.dataset_name}"


def tags_of(table: str, cell: Cell) -> dict[str, str]:
    """By what runs are filtered and coloured."""
    return {"table": table, "setting": cell.setting, "source": cell.source.kind, "search": cell.search_name,
            "network": cell.network_name, "dataset": cell.dataset_name, "mlflow.source.name": "slt-bench",
            "mlflow.runColor": colour(cell)}  # fmt: skip


def result_digest(result: Result) -> str:
    """What changes with a result: a run that has it is up to date."""
    return digest([result.record, result.metrics])


def outcome(result: Result) -> dict[str, float]:
    """What came out, by the names under which MLflow shows it."""
    record, metrics = result.record, result.metrics
    found = {f"test_{name}": metrics[name] for name in ("top1", "top5", "loss", "last_top1")}
    found |= {
        "ticket_bytes": metrics["bytes"],
        "ticket_coded_bytes": metrics.get("coded_bytes"),
        "best_epoch": record["best_epoch"],
        "seconds": sum(record["epoch_seconds"]),
    }
    found |= {"best_val_top1": record["best_val_top1"], "dying_edge_ratio": record["dying_edge_ratio"]}
    found |= {name: metrics.get(name) for name in ("mask_coded_bytes", "mask_bound_bytes")}
    found |= {f"edges_{name}": metrics[name] for name in ("total", "pruned", "locked", "kept")}
    found |= {"sparsity": result.cell.sparsity, "freezing_ratio": result.cell.source.freezing_ratio}
    return {name: float(value) for name, value in found.items() if value is not None}


def epoch_numbers(epoch: Epoch) -> dict[str, float]:
    """An epoch's metrics; those of layers and quantiles under a name with a slash, by which MLflow groups its charts."""
    values = {name: value for name, value in asdict(epoch).items() if value is not None}
    for name in ("epoch", "sparsity"):  # the steps; what the cell asks for
        del values[name]
    layers, quantiles = values.pop("layer_density"), values.pop("score_quantiles")
    values |= {f"score_quantile/{share:02d}": value for share, value in zip(QUANTILES, quantiles, strict=True)}
    return values | {f"layer_density/{number:03d}": density for number, density in enumerate(layers)}


def milliseconds(moment: str) -> int:
    """A moment as MLflow counts time."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
