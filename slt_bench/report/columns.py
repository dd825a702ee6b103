"""Everything about cells and lines for machines: rows of plain values, by the names of their columns."""

from __future__ import annotations

from math import nan
from statistics import mean, median
from typing import Any

from slt_bench.common.text import flatten
from slt_bench.experiment.cell import Cell
from slt_bench.records.result import Absent, Result
from slt_bench.report.lines import Line
from slt_bench.report.results import TableResults
from slt_bench.report.verdicts.statistics import deviation

_METRICS = ("top1", "top5", "loss", "last_top1", "bytes", "coded_bytes",
            "mask_packed_bytes", "mask_coded_bytes", "mask_bound_bytes")  # fmt: skip
KEPT = (
    "cell", "setting", "shown", "seed", "state", "reason", "method", "source", "sparsity", *_METRICS, "dying_edge_ratio",
    "seconds_an_epoch", "seconds", "epoch", "requested.kept", "actual.kept", "identity", "code", "commit", "precision",
    "data.digest", "finished", "environment.cpu", "environment.gpu", "environment.libraries.torch",
)  # fmt: skip
_RENAMED = {"asked": "requested", "realised": "actual"}  # keys of a record, as columns
_ELSEWHERE = ("cell", "parameters", "epoch_seconds")  # keys of a record that other columns hold


def cell_columns(results: TableResults) -> list[dict[str, Any]]:
    """Collect all that is known of every cell of a table: parameters, metrics and record; lists become tuples.

    A cell without a result has its state, the reason, its parameters, and no metric (NaN). One that no line shows, as
    the parent of another may be, is not `shown`.
    """
    labels = {cell.id: line.label for line in reversed(results.lines) for cell in line.cells}
    cells = {cell.id: cell for cell in results.experiment.cells}
    return [_cell_columns(cells[name], outcome, labels.get(name)) for name, outcome in results.outcomes.items()]


def _cell_columns(cell: Cell, outcome: Result | Absent, label: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"cell": cell.id, "setting": cell.setting, "shown": label is not None, "identity": cell.identity}
    if isinstance(outcome, Result):
        row |= {"state": "stale" if outcome.stale else "done", "reason": outcome.stale}
        metrics, record = outcome.metrics, record_columns(outcome.record)
    else:
        row |= {"state": outcome.kind, "reason": outcome.reason}
        metrics, record = dict.fromkeys(_METRICS, nan), {}
    row |= {"method": label or cell.search.label, "source": str(cell.source)}
    row |= flatten(cell.model_dump(mode="json"))
    row |= {"actual.sparsity" if name == "sparsity" else name: value for name, value in metrics.items()} | record
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


def record_columns(record: dict[str, Any]) -> dict[str, Any]:
    """Collect the plain values of a search's record, with the seconds of its epochs in total; lists are left out."""
    named = {_RENAMED.get(name, name): value for name, value in record.items() if name not in _ELSEWHERE}
    plain = {name: value for name, value in flatten(named).items() if not isinstance(value, list)}
    return plain | {"seconds": sum(record["epoch_seconds"]), "seconds_an_epoch": median(record["epoch_seconds"])}


def line_columns(results: TableResults) -> list[dict[str, Any]]:
    """Collect all that is known of every line of a table (law 10): parameters, means over seeds, record, published values."""
    return [_line_columns(line, results.small_budget) for line in results.lines]


def _line_columns(line: Line, small_budget: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": line.label,
        "setting": line.cell.setting,
        "n": len(line.results),
        "declared": len(line.cells),
    }
    row |= flatten(line.cell.parameters(seed=False))
    for name in _METRICS:
        values = line.optional(name)
        row |= {f"{name}_mean": mean(values) if values else None, f"{name}_std": deviation(values)}
    row["published"] = _joined(value.value for value in line.published)
    row["published_quantity"] = _joined(value.quantity for value in line.published)
    row["published_how"] = _joined(value.how for value in line.published)
    row["small_budget"] = small_budget
    row["left_out"] = "; ".join(f"seed {outcome.cell.seed} {outcome}" for outcome in line.absent) or None
    return row | (_line_record(line) if line.results else {})


def _line_record(line: Line) -> dict[str, Any]:
    """Collect what the searches of a line recorded; counts, data and environment are those of the first seed."""
    records = [record_columns(result.record) for result in line.results]
    first = records[0]
    row: dict[str, Any] = {"seeds": _joined(result.cell.seed for result in line.results)}
    row |= {name: value for name, value in first.items() if name.startswith(("requested.", "actual."))}
    row["model_size_bits"] = first["actual.total"] - first["actual.pruned"] - first["actual.locked"]
    row["epoch_seconds_mean"] = line.epoch_seconds
    row["dying_edge_ratio_mean"] = mean(line.from_record("dying_edge_ratio"))
    row["seconds_mean"] = mean(record["seconds"] for record in records) if line.is_of_one_machine else None
    row |= {name: _joined(sorted({record[name] for record in records})) for name in ("commit", "precision", "code")}
    row |= {name: first[name] for name in ("data.digest", "data.origin")}
    return row | {name: value for name, value in first.items() if name.startswith("environment.")}


def _joined(values: Any) -> str | None:
    return " ".join(map(str, values)) or None
