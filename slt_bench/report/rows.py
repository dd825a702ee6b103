"""What a reader sees of lines and claims: one row of texts each, by the names of their columns."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean
from typing import Any

from tabulate import tabulate

from slt_bench.experiment.published import Published
from slt_bench.report.lines import Line
from slt_bench.report.notes import training_images
from slt_bench.report.results import TableResults
from slt_bench.report.verdicts.claims import ClaimResult
from slt_bench.report.verdicts.statistics import UNKNOWN, interval, mean_and_deviation

Row = dict[str, str]

CLAIMS_NOTE = (
    "Effects are paired by seed, with Student's 95 % interval; where a claim may be looked at several times, with numbers of "
    "seeds that are fixed beforehand, the interval is that of all looks together, and the first look that decides stands. A "
    "claim of “up to” is decided by the one pair of lines that is shown, with an interval at the level of all its pairs "
    "together (Bonferroni). A claim holds if the whole interval lies beyond what must be exceeded. It does not hold if the "
    "interval lies short of that, or reaches beyond it by less than what matters. Otherwise the published size is excluded if "
    "the interval lies short of it, or the claim is undecided, as with a single seed. What follows from how tickets are made "
    "holds by construction, and is no finding. A claim is exploratory where results were known when it was put."
)
_UNITS = {"top1": " points", "dying_edge_ratio": "", "epoch_seconds": " s", "bytes": " bytes", "coded_bytes": " bytes",
          "mask_packed_bytes": " bytes"}  # fmt: skip


def grid(rows: list[Row], style: str = "github") -> str:
    """Lay out rows as a table, in one of the styles of `tabulate`; texts stay as they are, but for what would end a cell."""
    rows = [{name: " ".join(text.splitlines()) for name, text in row.items()} for row in rows]
    if style == "github":
        rows = [{name: text.replace("|", r"\|") for name, text in row.items()} for row in rows]
    return tabulate(rows, headers="keys", tablefmt=style, disable_numparse=True)


def line_rows(results: TableResults) -> list[Row]:
    """Write a row for every line; networks and training images are shown only where lines differ in them."""
    lines = results.lines
    has_networks = len({line.cell.network_name for line in lines}) > 1
    has_images = len({line.is_validated for line in lines}) > 1
    return [
        ({"network": line.cell.network_name} if has_networks else {})
        | _line_row(line, results.experiment.table.seeds_of(line.row) if results.is_comparable else [])
        | ({"train images": training_images(line)} if has_images else {})
        for line in lines
    ]


def short_rows(results: TableResults) -> list[Row]:
    """Write a row for every line that fits a terminal: what the line is, its accuracy and the size of its file."""
    columns = ("network", "method", "source", "sparsity", "test top-1 (%)", "n", "file (bytes)")
    rows = [row | {"n": line.count} for row, line in zip(line_rows(results), results.lines, strict=True)]
    return [{name: row[name] for name in columns if name in row} for row in rows]


def _line_row(line: Line, compared: list[int]) -> Row:
    """Write a line's row; `compared` are the seeds that are compared with published values, none where that means nothing."""
    record = line.results[0].record if line.results else None
    is_ticket = line.cell.search.learns != "weights"
    own = replace(line, results=[result for result in line.results if result.cell.seed in compared])
    seeds = f" (n = {len(own.results)})" if len(own.results) != len(line.results) else ""
    differences = [f"{_difference(own, value)}{seeds}" for value in line.published] if compared else []
    coded = line.optional("coded_bytes") if is_ticket else []
    return {
        **dict(zip(("method", "source", "sparsity"), line.columns, strict=True)),
        "edges kept: requested": f"{line.requested['kept']:,}" if record else UNKNOWN,
        "actual": " / ".join(sorted({f"{result.metrics['kept']:,}" for result in line.results})) or UNKNOWN,
        "test top-1 (%)": mean_and_deviation(line.values("top1")),
        "last epoch (%)": mean_and_deviation(line.values("last_top1")),
        "n": f"{line.count} ({line.remarks})" if line.remarks else line.count,
        "published": "; ".join(map(str, line.published)) or UNKNOWN,
        "difference": "; ".join(differences) or UNKNOWN,
        "file (bytes)": f"{mean(line.values('bytes')):,.0f}" if record else UNKNOWN,
        "coded file": f"{mean(coded):,.0f}" if coded else UNKNOWN,
        "(1-F)N / 8": f"{_formula_bytes(line):,}" if record and is_ticket else UNKNOWN,
        "s / epoch": UNKNOWN if line.epoch_seconds is None else _seconds(line.epoch_seconds),
        "dying edges": f"{mean(line.from_record('dying_edge_ratio')):.4f}" if record and is_ticket else UNKNOWN,
    }


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"


def _difference(line: Line, value: Published) -> str:
    """Write measured - published, with the interval of the measured mean."""
    measured = line.values("top1") if value.quantity == "top1" else line.from_record("dying_edge_ratio")
    digits = 2 if value.quantity == "top1" else 3
    if not measured:
        return UNKNOWN
    ends = interval(measured)
    around = f" [{ends[0] - value.value:+.{digits}f}, {ends[1] - value.value:+.{digits}f}]" if ends else ""
    return f"{mean(measured) - value.value:+.{digits}f}{around}"


def _formula_bytes(line: Line) -> int:
    """Compute the paper's model size (1-F)N in bytes, rounded up.

    Source: Otsuka et al. 2025.
    """
    metrics = line.results[0].metrics
    return -(-(metrics["total"] - metrics["pruned"] - metrics["locked"]) // 8)


def claim_row(result: ClaimResult) -> Row:
    """Write the row of a tested claim."""
    left_out = f"; left out: {'; '.join(result.left_out)}" if result.left_out else ""
    left_out += f"; pairs of lines without a look yet: {result.unseen}" if result.unseen and result.is_open else ""
    return {
        "claim": result.claim.text,
        "of": _side(result.of, result.over),
        "over": _side(result.over, result.of),
        "effect": _effect(result),
        "n": f"{result.effect.n}{_look(result)}{left_out}",
        "must exceed": f"{result.effect.threshold:g}{_what_matters(result)}",
        "published": "; ".join(map(str, result.published)) or UNKNOWN,
        "verdict": result.verdict,
    }


def _look(result: ClaimResult) -> str:
    if not result.look:
        return " (before the first look)"
    return f" (look {result.look} of {result.claim.looks})" if result.claim.looks > 1 else ""


def _what_matters(result: ClaimResult) -> str:
    return f" (by {result.claim.matters:g} to matter)" if result.claim.matters else ""


def claim_values(result: ClaimResult) -> dict[str, Any]:
    """Say what a claim's effect and verdict are computed from, by the settings and columns of cells.csv."""
    return {
        "of": result.of.cell.setting,
        "over": result.over.cell.setting,
        "claim": result.claim.model_dump(mode="json", include={"metric", "compare", "beyond", "by_construction", "matters"}),
        "n": result.effect.n,
        "seeds": list(result.seeds),
        "before the first look": not result.look,
        "selected from": result.pairs,
        "published": result.effect.published,
    }


def claim_sentence(result: ClaimResult) -> str:
    """Write a tested claim as one line: verdict, claim, effect and both lines."""
    sides = f"{_side(result.of, result.over)}, over {_side(result.over, result.of)}"
    return f"{result.verdict}: {result.claim.text} {_effect(result)} ({sides})"


def _effect(result: ClaimResult) -> str:
    effect, metric = result.effect, result.claim.metric
    if effect.size is None:
        return UNKNOWN
    unit = " x" if result.claim.compare == "ratio" else _UNITS[metric]
    digits = 2 if metric != "dying_edge_ratio" else 4
    ends = f" [{effect.low:.{digits}f}, {effect.high:.{digits}f}]" if effect.low is not None else ""
    return f"{effect.size:.{digits}f}{ends}{unit}"


def _side(line: Line, other: Line) -> str:
    """Name a line by what differs from the line that it is compared with, and by network, dataset and sparsity."""
    cell, sources = line.cell, (str(line.cell.source), str(other.cell.source))
    names = [line.label] + ([sources[0]] if sources != ("dense", "dense") else [])
    return ", ".join([*names, cell.network_name, cell.dataset_name, f"s = {cell.sparsity:g}"])
