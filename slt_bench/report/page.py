"""Tables as one HTML page that needs nothing else: claims, results, figures, and how each number came about."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from slt_bench.common import paths
from slt_bench.common.files import write_text
from slt_bench.experiment.experiments import Experiment
from slt_bench.records.history import Epoch
from slt_bench.records.result import Absent, Result
from slt_bench.report.claims import Trial, trials
from slt_bench.report.lines import Line
from slt_bench.report.notes import notes, warnings
from slt_bench.report.table import CLAIMS_NOTE, claim_row, rows


def write_page(tables: Sequence[tuple[Experiment, list[Line]]], path: Path) -> None:
    """Write a page of these tables with their lines; their figures have been drawn."""
    environment = Environment(
        loader=PackageLoader("slt_bench", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    title = tables[0][0].table.title if len(tables) == 1 else "slt-bench: strong lottery tickets"
    sections = [_table(experiment, content) for experiment, content in tables]
    page = environment.get_template("page.html").render(title=title, claims_note=CLAIMS_NOTE, tables=sections)
    write_text(path, page)


def _table(experiment: Experiment, content: list[Line]) -> dict[str, Any]:
    table = experiment.name
    shown = rows(experiment, content)
    done = [result for line in content for result in line.results]
    dates = sorted({result.record["finished"][:10] for result in done})
    figures = sorted((paths.table_dir(table) / "figures").glob("*.svg"), key=lambda path: not path.name.startswith("accuracy"))
    return {
        "name": table,
        "title": experiment.table.title,
        "done": len(done),
        "cells": sum(len(line.cells) for line in content),
        "dates": " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "",
        "warnings": warnings(experiment, content),
        "claims": [_claim(table, content, each) for each in trials(experiment.table, content)],
        "header": list(shown[0]),
        "rows": [{"id": _anchor(table, number), "cells": list(each.values())} for number, each in enumerate(shown)],
        "notes": notes(experiment, content),
        "variables": sorted({name for line in content if (name := line.cell.dataset.images.variable)}),
        "figures": [{"name": path.stem, "source": _embedded(path)} for path in figures] if done else [],
        "lines": [_line(_anchor(table, number), line) for number, line in enumerate(content)],
    }


def _anchor(table: str, number: int) -> str:
    return f"{table}-line-{number + 1}"


def _embedded(path: Path) -> str:
    return f"data:image/svg+xml;base64,{b64encode(path.read_bytes()).decode()}"


def _claim(table: str, content: list[Line], each: Trial) -> dict[str, Any]:
    of, over = (_anchor(table, content.index(line)) for line in (each.of, each.over))
    return {"row": claim_row(each), "of": of, "over": over, "scale": _scale(each)}


def _scale(each: Trial) -> dict[str, Any] | None:
    """Where the interval lies, in percent of a bar that shows what must be exceeded and what was published too."""
    effect, published = each.effect, [value.value for value in each.published]
    if effect.low is None or effect.high is None or effect.size is None:
        return None
    left, right = min(effect.low, effect.beyond, *published), max(effect.high, effect.beyond, *published)
    span = (right - left) or 1.0

    def place(value: float) -> float:
        return round(4 + 92 * (value - left) / span, 2)

    return {
        "low": place(effect.low), "width": round(place(effect.high) - place(effect.low), 2), "size": place(effect.size),
        "beyond": place(effect.beyond), "published": [place(value) for value in published],
    }  # fmt: skip


def _line(anchor: str, line: Line) -> dict[str, Any]:
    results = {result.cell.id: result for result in line.results}
    absent = {each.cell.id: each for each in line.absent}
    accuracy = f": {mean(line.values('top1')):.2f} %" if results else ""
    cell = line.cell
    return {
        "id": anchor,
        "name": f"{line.label}, {cell.source}, s = {cell.sparsity:g}, {cell.network_name}, {cell.dataset_name}{accuracy}",
        "cells": [_cell(one.id, one.seed, results.get(one.id), absent.get(one.id)) for one in line.cells],
        "parameters": json.dumps(cell.model_dump(mode="json", exclude={"seed", "table"}, exclude_defaults=True), indent=1),
    }


def _cell(cell_id: str, seed: int, result: Result | None, absent: Absent | None) -> dict[str, Any]:
    if result is None:
        return {"id": cell_id, "seed": seed, "outcome": str(absent), "history": "", "made": ""}
    record, metrics = result.record, result.metrics
    made = {name: record.get(name) for name in ("identity", "code", "commit", "started", "finished", "environment", "data")}
    return {
        "id": cell_id,
        "seed": seed,
        "outcome": f"test {metrics['top1']:.2f} %, {metrics['bytes']:,} bytes, {sum(record['epoch_seconds']):.0f} s",
        "history": _history(result.history),
        "made": json.dumps(made, indent=1),
    }


def _history(history: list[Epoch]) -> str:
    head = "epoch  sparsity  learning rate  train loss  train %  val loss  val %  dying   churn"
    return "\n".join([head, *map(_epoch, history)])


def _epoch(one: Epoch) -> str:
    loss, top1 = ("—" if value is None else f"{value:.3f}" for value in (one.val_loss, one.val_top1))
    return (
        f"{one.epoch:5}  {one.sparsity:8.3f}  {one.learning_rate:13.5f}  {one.train_loss:10.4f}  {one.train_top1:7.2f}"
        f"  {loss:>8}  {top1:>6}  {one.dying_edge_ratio:.4f}  {one.mask_churn:.4f}"
    )
