"""Claims put to the test: effects over seeds with an interval, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import mean
from typing import Literal

from slt_bench.params import Claim, Side, Table
from slt_bench.published import Published, fitting
from slt_bench.report.lines import Line, Result
from slt_bench.report.spread import interval

Verdict = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Effect:
    """What is measured of one pair of lines, over the seeds that both have."""

    n: int
    size: float | None  # None: no seed
    low: float | None  # the interval's ends; None with less than two seeds
    high: float | None
    beyond: float  # what must be exceeded

    @property
    def verdict(self) -> Verdict:
        """By the interval: beyond, short of it, or around it."""
        if self.low is None or self.high is None:
            return "undecided"
        return "holds" if self.low > self.beyond else "does not hold" if self.high < self.beyond else "undecided"


@dataclass(frozen=True)
class Trial:
    """A claim, the lines that it compares, and what came out."""

    claim: Claim
    of: Line
    over: Line
    pairs: int  # of which this is the one with the largest effect, if the claim is of the most
    effect: Effect
    published: list[Published]


def effect(claim: Claim, of: Sequence[float], over: Sequence[float], pairs: int = 1) -> Effect:
    """The mean difference, or the geometric mean of the ratios, of values paired by seed, with its interval.

    The same seed has the same weights in every source, so that what is paired differs in the method alone.
    """
    ratio = claim.compare == "ratio"
    beyond = claim.beyond if claim.beyond is not None else float(ratio)
    back: Callable[[float], float] = exp if ratio else float
    values = [log(a / b) if ratio else a - b for a, b in zip(of, over, strict=True)]
    ends = interval(values, pairs)
    low, high = (back(ends[0]), back(ends[1])) if ends is not None else (None, None)
    return Effect(len(values), back(mean(values)) if values else None, low, high, beyond)


def trials(table: Table, content: list[Line]) -> list[Trial]:
    """Every claim of a table, tested on the results that its lines have."""
    return [trial for claim in table.claims.values() for trial in _tested(table, claim, content)]


def _tested(table: Table, claim: Claim, content: list[Line]) -> list[Trial]:
    found = []
    pairs = _pairs(_of_side(table, claim.of, content), _of_side(table, claim.over, content))
    for of, over in pairs:
        values = _paired(claim, of, over)
        many = len(pairs) if claim.across == "most" else 1
        found.append(Trial(claim, of, over, many, effect(claim, *values, pairs=many), fitting(claim.published, of.meant)))
    if claim.across == "most":
        return [max(found, key=lambda each: -1e9 if each.effect.size is None else each.effect.size)] if found else []
    return found


def _of_side(table: Table, side: Side, content: list[Line]) -> list[Line]:
    row = next(index for index, row in enumerate(table.rows) if row.id == side.row)
    return [line for line in content if line.row == row and side.sparsity in (line.cell.sparsity, None)]


def _pairs(of: list[Line], over: list[Line]) -> list[tuple[Line, Line]]:
    """Each line with the one that it agrees with in all in which those of the other side differ."""
    differ = [axis for axis in range(5) if len({_axes(line)[axis] for line in over}) > 1]
    pairs = []
    for line in of:
        same = [other for other in over if all(_axes(line)[axis] == _axes(other)[axis] for axis in differ)]
        pairs += [(line, same[0])] if len(same) == 1 else []
    return pairs


def _axes(line: Line) -> tuple[str, str, str, float, float]:
    cell = line.cell
    return cell.dataset_name, cell.network_name, cell.recipe_name, cell.sparsity, round(cell.source.freezing_ratio, 9)


def _paired(claim: Claim, of: Line, over: Line) -> tuple[list[float], list[float]]:
    ours, theirs = ({result.cell.seed: _value(claim, result) for result in line.results} for line in (of, over))
    seeds = sorted(ours.keys() & theirs.keys())
    return [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]


def _value(claim: Claim, result: Result) -> float:
    return float((result.record if claim.metric == "dying_edge_ratio" else result.metrics)[claim.metric])
