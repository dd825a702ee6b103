"""Claims put to the test: effects over seeds with an interval, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from statistics import mean
from typing import Literal, get_args

from slt_bench.common.text import grouped
from slt_bench.experiment.claims import pairs, row_of
from slt_bench.experiment.published import Published, fitting
from slt_bench.params.claims import Claim
from slt_bench.params.tables import Table
from slt_bench.records.result import Result
from slt_bench.report.lines import Line
from slt_bench.report.statistics import interval

Verdict = Literal["does not hold", "undecided", "holds"]
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


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
    pairs: int  # of which this one decides, if the claim is of the most
    effect: Effect
    published: list[Published]
    left_out: list[str]  # seeds without a pair, and why


def effect(claim: Claim, of: Sequence[float], over: Sequence[float], many: int = 1) -> Effect:
    """The mean difference, or the geometric mean of the ratios, of values paired by seed, with its interval.

    The same seed has the same weights in every source, so that what is paired differs in the method alone. Of several pairs
    the interval is that of all together (Bonferroni).
    """
    ratio = claim.compare == "ratio"
    beyond = claim.beyond if claim.beyond is not None else float(ratio)
    back: Callable[[float], float] = exp if ratio else float
    values = [log(a / b) if ratio else a - b for a, b in zip(of, over, strict=True)]
    ends = interval(values, many)
    low, high = (back(ends[0]), back(ends[1])) if ends is not None else (None, None)
    return Effect(len(values), back(mean(values)) if values else None, low, high, beyond)


def trials(table: Table, content: list[Line]) -> list[Trial]:
    """Every claim of a table, tested on the results that its lines have."""
    return [trial for claim in table.claims.values() for trial in _tested(table, claim, content)]


def _tested(table: Table, claim: Claim, content: list[Line]) -> list[Trial]:
    rows = (row_of(table, side) for side in (claim.of, claim.over))
    of, over = ({line.cell.setting: line for line in content if line.row == row} for row in rows)
    compared = pairs(table, claim, *([line.cell for line in side.values()] for side in (of, over)))
    found = []
    for same in grouped(compared, lambda pair: pair[0].dataset_name).values():
        many = len(same) if claim.across == "most" else 1
        tested = [_trial(claim, of[one.setting], over[other.setting], many) for one, other in same]
        found += tested if claim.across == "each" else [max(tested, key=_weight)]
    return found


def _trial(claim: Claim, of: Line, over: Line, many: int) -> Trial:
    values, left_out = _paired(claim, of, over)
    return Trial(claim, of, over, many, effect(claim, *values, many), fitting(claim.published, of.meant), left_out)


def _weight(trial: Trial) -> tuple[int, float]:
    """Up to: that holds if it does of any pair, and does not if it does of none. The largest effect decides among those."""
    size = trial.effect.size
    return _VERDICTS.index(trial.effect.verdict), -inf if size is None else size


def _paired(claim: Claim, of: Line, over: Line) -> tuple[tuple[list[float], list[float]], list[str]]:
    """The values of the seeds that both lines have, and the other seeds with the reason."""
    sides = [{result.cell.seed: value for result in line.results if (value := _value(claim, result)) is not None}
             for line in (of, over)]  # fmt: skip
    seeds = sorted({cell.seed for line in (of, over) for cell in line.cells})
    both = [seed for seed in seeds if all(seed in side for side in sides)]
    why = [(seed, _why(claim, line, seed)) for seed in seeds if seed not in both
           for line, side in zip((of, over), sides, strict=True) if seed not in side]  # fmt: skip
    left_out = [f"seed{'s' if len(same) > 1 else ''} {', '.join(str(seed) for seed, _ in same)} ({reason})"
                for reason, same in grouped(dict.fromkeys(why), lambda each: each[1]).items()]  # fmt: skip
    return ([sides[0][seed] for seed in both], [sides[1][seed] for seed in both]), left_out


def _why(claim: Claim, line: Line, seed: int) -> str:
    absent = next((str(each) for each in line.absent if each.cell.seed == seed), None)
    declared = any(cell.seed == seed for cell in line.cells)
    return f"{line.label}: {absent or (f'has no {claim.metric}' if declared else 'is not declared')}"


def _value(claim: Claim, result: Result) -> float | None:
    """None where there is no such number: weights that are trained have no mask, and nothing has a ratio to 0 bytes."""
    value = (result.record if claim.metric == "dying_edge_ratio" else result.metrics).get(claim.metric)
    return None if value is None or (claim.compare == "ratio" and not value) else float(value)
