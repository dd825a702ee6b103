"""A table: the cells of each setting over its seeds, with the published value beside them."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tabulate import tabulate

from slt_bench.cells import flatten
from slt_bench.checkpoint import write_text
from slt_bench.params import Params
from slt_bench.report.lines import Line, lines

UNKNOWN = "—"


def mean_and_deviation(values: list[float], digits: int = 2) -> str:
    """Mean ± sample standard deviation; the deviation of one value is unknown."""
    if not values:
        return UNKNOWN
    deviation = f"{stdev(values):.{digits}f}" if len(values) > 1 else UNKNOWN
    return f"{mean(values):.{digits}f} ± {deviation}"


def write_table(params: Params, table: str, directory: Path, figures: list[str]) -> str:
    """Write table.md, table.csv and table.tex; returns the Markdown."""
    content = lines(params, table)
    shown = [_shown(line) for line in content]
    grid = tabulate(shown, headers="keys", tablefmt="github", disable_numparse=True)
    markdown = f"# {params.tables[table].title}\n\n{grid}\n\n{_notes(params, table, content)}"
    write_text(directory / "table.md", markdown + "".join(f"\n![{name}](figures/{name}.svg)\n" for name in figures))
    write_text(
        directory / "table.tex", tabulate(shown, headers="keys", tablefmt="latex_booktabs", disable_numparse=True) + "\n"
    )
    write_text(directory / "table.csv", _csv([_full(line) for line in content]))
    return markdown


def _shown(line: Line) -> dict[str, str]:
    """What a person reads."""
    metrics = line.results[0].metrics if line.results else None
    searched = line.cell.search.kind != "weight-training"
    return {
        **dict(zip(("method", "source", "sparsity"), line.reads, strict=True)),
        "edges kept: asked": f"{line.results[0].record['asked']['kept']:,}" if metrics else UNKNOWN,
        "realised": " / ".join(sorted({f"{result.metrics['kept']:,}" for result in line.results})) or UNKNOWN,
        "test top-1 (%)": mean_and_deviation(line.values("top1")),
        "last epoch (%)": mean_and_deviation(line.values("last_top1")),
        "n": str(len(line.results)),
        "published": str(line.published) if line.published else UNKNOWN,
        "file (bytes)": f"{mean(line.values('bytes')):,.0f}" if metrics else UNKNOWN,
        "coded mask": f"{mean(coded):,.0f}" if (coded := line.known("mask_coded_bytes")) else UNKNOWN,
        "(1-F)N / 8": f"{formula_bytes(line):,}" if metrics and searched else UNKNOWN,
        "dying edges": f"{mean(line.recorded('dying_edge_ratio')):.4f}" if line.results and searched else UNKNOWN,
    }


def formula_bytes(line: Line) -> int:
    """The paper's model size (1-F)N in bytes, rounded up: Otsuka et al. 2025."""
    metrics = line.results[0].metrics
    return -(-(metrics["total"] - metrics["pruned"] - metrics["locked"]) // 8)


def _full(line: Line) -> dict[str, Any]:
    """Everything, for a machine: parameters, asked and realised counts, seeds, versions, hardware, times (law 10)."""
    row: dict[str, Any] = {"method": line.label, "setting": line.cell.setting, "n": len(line.results)}
    row |= flatten(line.cell.model_dump(mode="json", exclude={"seed"}))
    for name in ("top1", "top5", "loss", "last_top1", "bytes", "mask_packed_bytes", "mask_coded_bytes", "mask_bound_bytes"):
        values = line.known(name)
        row[f"{name}_mean"] = mean(values) if values else None
        row[f"{name}_std"] = stdev(values) if len(values) > 1 else None
    row["published"] = line.published.value if line.published else None
    row["published_how"] = line.published.how if line.published else None
    if line.results:
        record = line.results[0].record
        row["seeds"] = " ".join(str(result.cell.seed) for result in line.results)
        row |= flatten({"asked": record["asked"], "realised": record["realised"]})
        row["model_size_bits"] = record["realised"]["total"] - record["realised"]["pruned"] - record["realised"]["locked"]
        row["dying_edge_ratio_mean"] = mean(line.recorded("dying_edge_ratio"))
        row["seconds_mean"] = mean(sum(result.record["epoch_seconds"]) for result in line.results)
        row["commit"] = " ".join(sorted({result.record["commit"] for result in line.results}))
        row["precision"] = " ".join(sorted({result.record["precision"] for result in line.results}))
        row["code"] = " ".join(sorted({result.record["code"] for result in line.results}))
        row |= flatten({"data": {key: record["data"][key] for key in ("digest", "origin")}})
        row |= flatten({"environment": record["environment"]})
    return row


def _csv(rows: list[dict[str, Any]]) -> str:
    out = StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _notes(params: Params, table: str, content: list[Line]) -> str:
    results = [result for line in content for result in line.results]
    missing = sum(not line.results for line in content)
    parts = [params.tables[table].note] if params.tables[table].note else []
    parts.append(
        "Test accuracy of the best validation epoch at the final sparsity, read once from the ticket file: mean ± sample "
        "standard deviation over n seeds. Sparsity counts all weights, frozen ones included. — is unknown; † marks a "
        "published value from a secondary source. Sizes in bytes: the ticket file, its mask entropy-coded, the papers' formula."
    )
    if missing:
        parts.append(f"{missing} of {len(content)} lines have not run yet.")
    if any(line.cell.search.kind == "weight-training" for line in content):
        parts.append("Weight training is the baseline: its file holds the trained weights.")
    for origin in sorted({f"{r.cell.dataset_name}: {r.record['data']['origin']}" for r in results}):
        images = next(r.record["data"]["images"] for r in results if origin.startswith(f"{r.cell.dataset_name}: "))
        parts.append(f"Data {origin}; {images['train']:,} train, {images['val']:,} validation, {images['test']:,} test images.")
    made = [(result.record["environment"], result.record["precision"]) for result in results]
    for machine, precision in {json.dumps(each): each for each in made}.values():
        libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items() if number)
        parts.append(f"Made with {libraries} on {machine['gpu'] or machine['cpu']}, {machine['cores']} cores, in {precision}.")
    return "\n\n".join(parts) + "\n"
