"""A table: the cells of each setting over its seeds, with the published value beside them."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tabulate import tabulate

from slt_bench.common.files import write_text
from slt_bench.common.text import flatten
from slt_bench.experiment.experiments import Experiment
from slt_bench.experiment.published import Published
from slt_bench.report.claims import Trial, trials
from slt_bench.report.lines import Line
from slt_bench.report.notes import notes, trained_on, warnings
from slt_bench.report.statistics import UNKNOWN, interval, mean_and_deviation


def write_table(experiment: Experiment, content: list[Line], directory: Path, figures: list[str]) -> str:
    """Write table.md, table.csv and table.tex of a table's lines; returns the Markdown."""
    claims = trials(experiment.table, content)
    shown = rows(experiment, content)
    grid = tabulate(shown, headers="keys", tablefmt="github", disable_numparse=True)
    parts = [f"# {experiment.table.title}", *warnings(experiment, content), grid]
    if claims:
        parts += ["## Claims", tabulate([claim_row(each) for each in claims], headers="keys", tablefmt="github",
                                        disable_numparse=True), CLAIMS_NOTE]  # fmt: skip
    markdown = "\n\n".join([*parts, *notes(experiment, content)]) + "\n"
    write_text(directory / "table.md", markdown + "".join(f"\n![{name}](figures/{name}.svg)\n" for name in figures))
    latex = tabulate(shown, headers="keys", tablefmt="latex_booktabs", disable_numparse=True)
    write_text(directory / "table.tex", "".join(f"% {each}\n" for each in warnings(experiment, content)) + latex + "\n")
    write_text(directory / "table.csv", _csv([_full(line, experiment.replaced or None) for line in content]))
    return markdown


def rows(experiment: Experiment, content: list[Line]) -> list[dict[str, str]]:
    """What a person reads of each line; networks and training images only where they differ."""
    several = {name: len({getattr(line.cell, f"{name}_name") for line in content}) > 1 for name in ("dataset", "network")}
    comparable = experiment.full_size is None
    unequal = len({line.validated for line in content}) > 1
    return [
        {name: getattr(line.cell, f"{name}_name") for name in several if several[name]}
        | _shown(line, comparable)
        | ({"train images": trained_on(line)} if unequal else {})
        for line in content
    ]


def _shown(line: Line, comparable: bool) -> dict[str, str]:
    metrics = line.results[0].metrics if line.results else None
    searched = line.cell.search.kind != "weight-training"
    return {
        **dict(zip(("method", "source", "sparsity"), line.reads, strict=True)),
        "edges kept: asked": f"{line.results[0].record['asked']['kept']:,}" if metrics else UNKNOWN,
        "realised": " / ".join(sorted({f"{result.metrics['kept']:,}" for result in line.results})) or UNKNOWN,
        "test top-1 (%)": mean_and_deviation(line.values("top1")),
        "last epoch (%)": mean_and_deviation(line.values("last_top1")),
        "n": line.count,
        "published": "; ".join(map(str, line.published)) or UNKNOWN,
        "difference": ("; ".join(_difference(line, value) for value in line.published) if comparable else "") or UNKNOWN,
        "file (bytes)": f"{mean(line.values('bytes')):,.0f}" if metrics else UNKNOWN,
        "coded file": f"{mean(coded):,.0f}" if searched and (coded := line.known("coded_bytes")) else UNKNOWN,
        "(1-F)N / 8": f"{formula_bytes(line):,}" if metrics and searched else UNKNOWN,
        "dying edges": f"{mean(line.recorded('dying_edge_ratio')):.4f}" if line.results and searched else UNKNOWN,
    }


def _difference(line: Line, value: Published) -> str:
    """Measured - published, with the interval of the measured mean."""
    measured = line.values("top1") if value.quantity == "top1" else line.recorded("dying_edge_ratio")
    digits = 2 if value.quantity == "top1" else 3
    if not measured:
        return UNKNOWN
    ends = interval(measured)
    around = f" [{ends[0] - value.value:+.{digits}f}, {ends[1] - value.value:+.{digits}f}]" if ends else ""
    return f"{mean(measured) - value.value:+.{digits}f}{around}"


CLAIMS_NOTE = (
    "Effects are paired by seed, with Student's 95 % interval. What is claimed by up to is decided by the pair of lines that "
    "stands there, with the interval of all pairs of its dataset together. A claim holds if the whole interval lies beyond "
    "what is asked, does not hold if it lies short of that, and is undecided otherwise, as with a single seed."
)


def claim_row(each: Trial) -> dict[str, str]:
    """A tested claim, for a reader."""
    effect, unit = each.effect, " x" if each.claim.compare == "ratio" else _UNITS[each.claim.metric]
    digits = 2 if each.claim.metric != "dying_edge_ratio" else 4
    ends = f" [{effect.low:.{digits}f}, {effect.high:.{digits}f}]" if effect.low is not None else ""
    return {
        "claim": each.claim.text,
        "of": _side(each.of, each.over),
        "over": _side(each.over, each.of),
        "effect": f"{effect.size:.{digits}f}{ends}{unit}" if effect.size is not None else UNKNOWN,
        "n": f"{effect.n}; left out: {'; '.join(each.left_out)}" if each.left_out else str(effect.n),
        "must exceed": f"{effect.beyond:g}",
        "published": "; ".join(map(str, each.published)) or UNKNOWN,
        "verdict": each.effect.verdict,
    }


_UNITS = {"top1": " points", "dying_edge_ratio": "", "bytes": " bytes", "coded_bytes": " bytes",
          "mask_packed_bytes": " bytes"}  # fmt: skip


def _side(line: Line, other: Line) -> str:
    """A line by what tells it from the other, and its network and sparsity."""
    cell = line.cell
    names = [line.label] + ([str(cell.source)] if str(cell.source) != "dense" or str(other.cell.source) != "dense" else [])
    return ", ".join([*names, cell.network_name, cell.dataset_name, f"s = {cell.sparsity:g}"])


def formula_bytes(line: Line) -> int:
    """The paper's model size (1-F)N in bytes, rounded up: Otsuka et al. 2025."""
    metrics = line.results[0].metrics
    return -(-(metrics["total"] - metrics["pruned"] - metrics["locked"]) // 8)


_MEANS = ("top1", "top5", "loss", "last_top1", "bytes", "coded_bytes",
          "mask_packed_bytes", "mask_coded_bytes", "mask_bound_bytes")  # fmt: skip


def _full(line: Line, reduced: str | None) -> dict[str, Any]:
    """Everything, for a machine: parameters, asked and realised counts, seeds, versions, hardware, times (law 10)."""
    row: dict[str, Any] = {"method": line.label, "setting": line.cell.setting, "n": line.count}
    row |= flatten(line.cell.model_dump(mode="json", exclude={"seed", "table"}))
    for name in _MEANS:
        values = line.known(name)
        row[f"{name}_mean"] = mean(values) if values else None
        row[f"{name}_std"] = stdev(values) if len(values) > 1 else None
    row["published"] = " ".join(str(each.value) for each in line.published) or None
    row["published_quantity"] = " ".join(each.quantity for each in line.published) or None
    row["published_how"] = " ".join(each.how for each in line.published) or None
    row["small_budget"] = reduced
    row["left_out"] = "; ".join(f"seed {each.cell.seed} {each}" for each in line.absent) or None
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
