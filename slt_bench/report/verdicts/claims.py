"""Claims put to the test: effects over seeds with an interval, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, isclose, log
from statistics import mean
from typing import Literal, get_args

from slt_bench.experiment.claims import pairs, row_of
from slt_bench.experiment.experiments import Experiment
from slt_bench.experiment.published import Published, fitting
from slt_bench.params.claims import Claim
from slt_bench.params.tables import Table
from slt_bench.report.lines import Line
from slt_bench.report.verdicts.looks import Looks, looks_at, missing_from
from slt_bench.report.verdicts.statistics import interval

Verdict = Literal[
    "does not hold", "published size excluded", "undecided", "holds", "by construction"
]  # of pairs, the best last
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
EXPLORATORY = "exploratory"


@dataclass(frozen=True)
class Effect:
    """The measured effect of one line over another, over the seeds that both have."""

    n: int  # seeds
    size: float | None  # None without a seed
    low: float | None  # end of the 95 % interval; None with less than two seeds
    high: float | None
    threshold: float  # that a claim says is exceeded
    published: float | None = None  # the least size that was published for it
    by_construction: bool = False  # whether it follows from how tickets are made
    matters: float = 0.0  # the least size beyond the threshold that does
    values: tuple[float, ...] = ()  # of each seed: differences, or logarithms of ratios

    @property
    def verdict(self) -> Verdict:
        """The verdict by the interval: beyond the threshold, else short of what matters, or of what was published, or none.

        What follows from how tickets are made is an identity, and no finding: it is not counted among the others.
        """
        if self.low is None or self.high is None:
            return "undecided"
        if _is_less(self.threshold, self.low):
            return "by construction" if self.by_construction else "holds"
        if _is_less(self.high, self.threshold + self.matters):
            return "does not hold"
        return "published size excluded" if self.published is not None and self.high < self.published else "undecided"

    @property
    def is_open(self) -> bool:
        """Whether more seeds could still decide the claim."""
        return self.verdict in ("undecided", "published size excluded")


@dataclass(frozen=True)
class ClaimResult:
    """A claim, the two lines that it compares, and the measured effect."""

    claim: Claim
    of: Line
    over: Line
    pairs: int  # Bonferroni factor: pairs that this one was selected from, times looks; 1 where there is one of each
    effect: Effect
    published: list[Published]
    left_out: list[str]  # seeds that are not tested, and why
    seeds: tuple[int, ...]  # that are tested
    look: int  # number of the look, from 1; 0 before the first
    further: list[int]  # numbers of seeds of the looks that are left; none where it is decided
    usable: list[int]  # the seeds of all looks, in their order
    is_exploratory: bool  # whether results of the table were known when the claim was put
    others: tuple[ClaimResult, ...] = ()  # of the pairs that this one was selected from: its rivals

    @property
    def verdict(self) -> str:
        """The verdict as readers see it."""
        return f"{EXPLORATORY}: {self.effect.verdict}" if self.is_exploratory else self.effect.verdict

    @property
    def is_open(self) -> bool:
        """Whether seeds are to be spent on it: what is exploratory is tested elsewhere."""
        return self.effect.is_open and not self.is_exploratory

    @property
    def unseen(self) -> int:
        """The number of rival pairs of lines without a look yet: one of them may turn out to be the best."""
        return sum(not other.look for other in self.others)


def measure_effect(
    claim: Claim, of: Sequence[float], over: Sequence[float], selected_from: int = 1, published: float | None = None
) -> Effect:
    """Measure the mean difference, or the geometric mean of the ratios, of values paired by seed, with its interval.

    A seed has one set of weights in every source, so that the two values of a pair differ in the method alone.

    Args:
        claim: says whether differences or ratios are meant, and the threshold.
        of: values [seeds] of the first line.
        over: values [seeds] of the second line, in the same order of seeds.
        selected_from: number of pairs of lines that this one was selected from; the interval is that of all together
            (Bonferroni).
        published: the least size that was published for the effect; None where none is known.

    Returns:
        The effect, in the unit of the values or as a ratio.
    """
    is_ratio = claim.compare == "ratio"
    threshold = claim.beyond if claim.beyond is not None else float(is_ratio)
    back: Callable[[float], float] = _exp if is_ratio else float
    values = [log(a / b) if is_ratio else a - b for a, b in zip(of, over, strict=True)]
    ends = interval(values, selected_from)
    low, high = (back(ends[0]), back(ends[1])) if ends is not None else (None, None)
    size = back(mean(values)) if values else None
    return Effect(len(values), size, low, high, threshold, published, claim.by_construction, claim.matters, tuple(values))


def _is_less(one: float, other: float) -> bool:
    """Whether a number is less than another by more than they were rounded; a ratio has been a logarithm."""
    return one < other and not isclose(one, other, rel_tol=1e-12)


def _exp(exponent: float) -> float:
    try:
        return exp(exponent)
    except OverflowError:  # the upper end of an interval of two unlike ratios
        return inf


def test_claims(experiment: Experiment, lines: list[Line]) -> list[ClaimResult]:
    """Test every claim of a table on the results of its lines."""
    return [result for claim in experiment.table.claims.values() for result in _tested(experiment, claim, lines)]


def _tested(experiment: Experiment, claim: Claim, lines: list[Line]) -> list[ClaimResult]:
    table, exploratory = experiment.table, experiment.name in (claim.exploratory_in or ())
    rows = (row_of(table, side) for side in (claim.of, claim.over))
    of, over = ({line.cell.setting: line for line in lines if line.row == row} for row in rows)
    compared = pairs(table, claim, *([line.cell for line in side.values()] for side in (of, over)))
    selected_from = len(compared) if claim.across == "most" else 1
    results = [
        _compare(table, claim, of[one.setting], over[other.setting], selected_from, exploratory) for one, other in compared
    ]
    if claim.across == "each":
        return results
    best = max(results, key=_rank)
    return [replace(best, others=tuple(result for result in results if result is not best))]


def _compare(table: Table, claim: Claim, of: Line, over: Line, selected_from: int, is_exploratory: bool) -> ClaimResult:
    looks, published = looks_at(table, claim, of, over), fitting(claim.published, of.full_size)
    is_small = of.full_size is not of.cell  # published values are no measure of it
    least = None if is_small else min((value.value for value in published), default=None)
    factor = selected_from * claim.looks
    effect, tested, number = take_looks(claim, looks, factor, least)
    further = looks.sizes[len(looks.taken) :] if effect.is_open else []
    left_out = missing_from(looks, table, of, over, tested)
    return ClaimResult(
        claim, of, over, factor, effect, published, left_out, tuple(tested), number, further, looks.usable, is_exploratory
    )


def take_looks(claim: Claim, looks: Looks, factor: int, published: float | None) -> tuple[Effect, list[int], int]:
    """Look at the seeds that have run, with the numbers that were fixed beforehand, until a look decides.

    Args:
        claim: the claim.
        looks: its seeds and their values.
        factor: pairs of lines that it was selected from, times looks; they share the error of one.
        published: the least size that was published for it; None where none is known.

    Returns:
        The effect, the seeds in it, and the number of the look, from 1; 0 before the first.
    """

    def effect_on(seeds: Sequence[int]) -> Effect:
        first, second = ([looks.values[seed][side] for seed in seeds] for side in (0, 1))
        return measure_effect(claim, first, second, factor, published)

    tested = looks.done[: looks.sizes[0]] if looks.sizes else looks.done
    effect, number = replace(effect_on(tested), low=None, high=None), 0  # before the first look nothing is decided
    for seeds in looks.taken:
        tested, effect, number = seeds, effect_on(seeds), number + 1
        if not effect.is_open:  # the first look that decides stands
            break
    return effect, tested, number


def _rank(result: ClaimResult) -> tuple[int, float]:
    """Sort key for `across: most`: the best verdict first, then the largest effect.

    A claim of "up to" holds if it does for any pair, and does not hold if it does for none.
    """
    size = result.effect.size
    return _VERDICTS.index(result.effect.verdict), -inf if size is None else size
