"""Open claims: what it would take to decide them, by what was measured so far.

A claim with several looks is looked at with seeds that are fixed beforehand (`looks`), each time with an interval at the level
1 - 0.05 / looks, until one decides it. By Bonferroni's inequality the chance that any of them misses the truth is 0.05 at most
(group-sequential testing with an error that is spent evenly: Lan and DeMets 1983, Biometrika 70). So looking again does not
raise the error. Where a claim is selected from several pairs ("up to"), they share that error too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from statistics import mean, stdev

from slt_bench.experiment.cell import Cell
from slt_bench.records.standing import gives_ticket
from slt_bench.report.results import TableResults
from slt_bench.report.verdicts.claims import ClaimResult
from slt_bench.report.verdicts.statistics import half_width


@dataclass(frozen=True)
class OpenClaim:
    """A claim without a verdict, and its next looks."""

    result: ClaimResult
    sizes: list[int]  # numbers of seeds of the looks that are left
    decided_at: int | None  # the least of these that would decide it, if further seeds are like those so far; None: none
    cells: list[Cell]  # that the next look needs and that have no result, after parents that have no ticket
    to_decide: list[Cell]  # the same of the look that would decide it; of the next one where none would


def open_claims(results: TableResults) -> Iterator[OpenClaim]:
    """List the open claims of a table that may be looked at again, or have not got their first look.

    A claim that is selected from several pairs of lines is listed once for each pair that may still decide it.
    """
    for result in (pair for claim in results.claims if claim.is_open for pair in (claim, *claim.others)):
        if result.is_open:
            sizes = result.further
            cells = _missing(results, result, sizes[0]) if sizes else []
            decided_at = next((size for size in sizes if would_decide(result, size)), None)
            to_decide = cells if decided_at is None or decided_at == sizes[0] else _missing(results, result, decided_at)
            yield OpenClaim(result, sizes, decided_at, cells, to_decide)


def would_decide(result: ClaimResult, size: int) -> bool:
    """Whether so many seeds would decide a claim, if mean and spread stay as they are; with less than two, who knows."""
    effect = result.effect
    if effect.n < 2:
        return True
    is_ratio = result.claim.compare == "ratio"
    low, high = effect.threshold, effect.threshold + effect.matters
    if is_ratio:
        low, high = log(low), log(high)
    centre, width = mean(effect.values), half_width(stdev(effect.values), size, result.pairs)
    return centre - width > low or centre + width < high


def _missing(results: TableResults, result: ClaimResult, size: int) -> list[Cell]:
    """List the cells of both lines without a result that a look with `size` seeds needs, after parents without a ticket."""
    experiment, lines = results.experiment, (result.of, result.over)
    cells = {(cell.setting, cell.seed): cell for cell in experiment.all_cells}
    done = {(one.cell.setting, one.cell.seed) for line in lines for one in line.results}
    wanted = [(line.cell.setting, seed) for seed in result.usable[:size] for line in lines]
    missing = [cells[key] for key in dict.fromkeys(wanted) if key not in done]
    by_id = {cell.id: cell for cell in cells.values()}
    parents = [by_id[cell.source.parent.id] for cell in missing if cell.source.parent]
    return list({cell.id: cell for cell in (*(one for one in parents if not gives_ticket(one)), *missing)}.values())


def describe(claim: OpenClaim, seconds: float | None, seconds_to_decide: float | None) -> str:
    """Write an open claim as a line: what decides it, and how long that takes.

    Args:
        claim: the claim.
        seconds: that the missing cells of its next look take; None where nothing like them has run.
        seconds_to_decide: the same of the look that would decide it.
    """
    result = claim.result
    name = f"{result.claim.text} ({result.of.cell.setting} over {result.over.cell.setting})"
    if not claim.sizes:
        return f"stays {result.effect.verdict}: {name}; all its seeds are there (looks: {result.claim.looks})"
    if claim.decided_at is None:
        return f"hopeless: {name}; by what was measured, {claim.sizes[-1]} seeds do not decide it"
    if result.effect.n < 2 and not result.look:
        return f"open: {name}; first with {claim.sizes[0]} seeds, {len(claim.cells)} cells more, {_hours(seconds)}"
    next_look = f"next with {claim.sizes[0]} seeds, {len(claim.cells)} cells more, {_hours(seconds)}"
    if claim.decided_at == claim.sizes[0]:
        return f"open: {name}; {next_look}, which would decide it"
    last = f"{claim.decided_at} would decide it, {len(claim.to_decide)} cells more, {_hours(seconds_to_decide)}"
    return f"open: {name}; {next_look}; {last}"


def _hours(seconds: float | None) -> str:
    return f"about {seconds / 3600:.2f} hours" if seconds is not None else "a time that is not known yet"
