"""Tables as one HTML page that needs no other file: claims, results, figures, and how each number came about."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from math import isinf
from pathlib import Path
from statistics import mean
from typing import Any

from slt_bench.common.files import write_text
from slt_bench.experiment.cell import Cell
from slt_bench.records.history import Epoch
from slt_bench.records.result import Absent, Result
from slt_bench.report.html import pages
from slt_bench.report.lines import Line, shown_cells, shown_results
from slt_bench.report.results import TableResults
from slt_bench.report.rows import CLAIMS_NOTE, claim_row, line_rows
from slt_bench.report.verdicts.claims import ClaimResult

_PROVENANCE = ("identity", "code", "commit", "started", "finished", "environment", "data")  # keys of a record


def write_page(tables: Sequence[TableResults], path: Path) -> None:
    """Write a page of the results of these tables, whose figures have been drawn."""
    title = tables[0].title if len(tables) == 1 else "slt-bench: strong lottery tickets"
    sections = [_section(results) for results in tables]
    page = pages().get_template("page.html").render(title=title, claims_note=CLAIMS_NOTE, tables=sections)
    write_text(path, page)


def _section(results: TableResults) -> dict[str, Any]:
    table, lines, rows = results.name, results.lines, line_rows(results)
    finished = shown_results(lines)
    dates = sorted({result.record["finished"][:10] for result in finished})
    return {
        "name": table,
        "title": results.title,
        "done": len(finished),
        "cells": len(shown_cells(lines)),
        "dates": " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "",
        "warnings": results.warnings,
        "verdicts": sorted(Counter(claim.verdict for claim in results.claims).items()),
        "claims": [_claim(results, claim) for claim in results.claims],
        "header": list(rows[0]),
        "unlinked": (),
        "rows": [{"id": _anchor(table, index), "cells": list(row.values())} for index, row in enumerate(rows)],
        "notes": results.notes,
        "variables": sorted({name for line in lines if (name := line.cell.dataset.images.variable)}),
        "figures": _figures(results.directory / "figures") if finished else [],
        "lines": [_line(_anchor(table, index), line) for index, line in enumerate(lines)],
    }


def _figures(directory: Path) -> list[dict[str, str]]:
    """Embed the figures of a directory, those of accuracy first."""
    files = sorted(directory.glob("*.svg"), key=lambda path: (not path.name.startswith("accuracy"), path.name))
    return [{"name": path.stem, "source": _embedded(path)} for path in files]


def _embedded(path: Path) -> str:
    return f"data:image/svg+xml;base64,{b64encode(path.read_bytes()).decode()}"


def _anchor(table: str, index: int) -> str:
    return f"{table}-line-{index + 1}"


def _claim(results: TableResults, claim: ClaimResult) -> dict[str, Any]:
    of, over = (_anchor(results.name, results.lines.index(line)) for line in (claim.of, claim.over))
    return {"row": claim_row(claim), "of": of, "over": over, "scale": _scale(claim)}


def _scale(claim: ClaimResult) -> dict[str, Any] | None:
    """Place the interval, the threshold and published values on a bar, in percent of its width; None where it has no ends."""
    effect, published = claim.effect, [value.value for value in claim.published]
    if effect.low is None or effect.high is None or effect.size is None or isinf(effect.high):
        return None
    left, right = min(effect.low, effect.threshold, *published), max(effect.high, effect.threshold, *published)
    span = (right - left) or 1.0

    def position(value: float) -> float:
        return round(4 + 92 * (value - left) / span, 2)

    return {
        "low": position(effect.low), "width": round(position(effect.high) - position(effect.low), 2),
        "size": position(effect.size), "threshold": position(effect.threshold),
        "published": [position(value) for value in published],
    }  # fmt: skip


def _line(anchor: str, line: Line) -> dict[str, Any]:
    outcomes: dict[str, Result | Absent] = {result.cell.id: result for result in line.results}
    outcomes |= {absent.cell.id: absent for absent in line.absent}
    accuracy = f": {mean(line.values('top1')):.2f} %" if line.results else ""
    cell = line.cell
    return {
        "id": anchor,
        "name": f"{line.label}, {cell.source}, s = {cell.sparsity:g}, {cell.network_name}, {cell.dataset_name}{accuracy}",
        "cells": [_cell(cell, outcomes[cell.id]) for cell in line.cells],
        "parameters": json.dumps(cell.model_dump(mode="json", exclude={"seed", "table"}, exclude_defaults=True), indent=1),
    }


def _cell(cell: Cell, outcome: Result | Absent) -> dict[str, Any]:
    if isinstance(outcome, Absent):
        return {"id": cell.id, "seed": cell.seed, "outcome": str(outcome), "history": "", "provenance": ""}
    record, metrics = outcome.record, outcome.metrics
    return {
        "id": cell.id,
        "seed": cell.seed,
        "outcome": f"test {metrics['top1']:.2f} %, {metrics['bytes']:,} bytes, {sum(record['epoch_seconds']):.0f} s",
        "history": _history(outcome.history),
        "provenance": json.dumps({name: record.get(name) for name in _PROVENANCE}, indent=1),
    }


def _history(history: list[Epoch]) -> str:
    head = "epoch  sparsity  learning rate  train loss  train %  val loss  val %  dying   churn"
    return "\n".join([head, *map(_epoch, history)])


def _epoch(epoch: Epoch) -> str:
    loss, top1 = ("—" if value is None else f"{value:.3f}" for value in (epoch.val_loss, epoch.val_top1))
    schedule = f"{epoch.epoch:5}  {epoch.sparsity:8.3f}  {epoch.learning_rate:13.5f}"
    training = f"{epoch.train_loss:10.4f}  {epoch.train_top1:7.2f}"
    return f"{schedule}  {training}  {loss:>8}  {top1:>6}  {epoch.dying_edge_ratio:.4f}  {epoch.mask_churn:.4f}"
