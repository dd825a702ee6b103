"""Looking several times does not raise the error: a simulation of the stopping rule."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from slt_bench.params.claims import Claim, Side
from slt_bench.report.claims import measure_effect

RUNS, FIRST = 2000, 3


def claim(**changes: object) -> Claim:
    return Claim.model_validate({"text": "a over b", "of": Side(row="a"), "over": Side(row="b"), **changes})


def simulate(tested: Claim, draws: NDArray[np.float64]) -> tuple[dict[str, float], float]:
    """Look until decided; returns the share of each verdict, and the mean number of seeds.

    Args:
        tested: the claim.
        draws: [runs, seeds of the last look], differences.
    """
    ends: list[str] = []
    seeds = []
    for row in draws:
        for size in tested.sizes_of_looks(FIRST):
            verdict = measure_effect(tested, list(row[:size]), [0.0] * size, tested.looks).verdict
            if verdict != "undecided":
                break
        ends.append(verdict)
        seeds.append(size)
    return {kind: ends.count(kind) / len(ends) for kind in set(ends)}, float(np.mean(seeds))


@pytest.mark.parametrize("looks", [1, 4])
def test_without_an_effect_a_claim_holds_no_more_often_than_promised(looks: int) -> None:
    tested = claim(looks=looks)
    draws = np.random.default_rng(0).normal(0.0, 1.0, (RUNS, tested.sizes_of_looks(FIRST)[-1]))
    shares, _ = simulate(tested, draws)
    # Each side has half of the error, 2.5 %; a twentieth more is chance at 2,000 runs.
    assert shares.get("holds", 0.0) < 0.025 + 0.011 and shares.get("does not hold", 0.0) < 0.025 + 0.011


def test_unplanned_looks_would_raise_it() -> None:
    """What the rule is for: the same looks, each at the level of one."""
    tested = claim(looks=4)
    draws = np.random.default_rng(0).normal(0.0, 1.0, (RUNS, tested.sizes_of_looks(FIRST)[-1]))
    holds = 0
    for row in draws:
        holds += any(
            measure_effect(tested, list(row[:size]), [0.0] * size, 1).verdict == "holds"
            for size in tested.sizes_of_looks(FIRST)
        )
    assert holds / RUNS > 0.04


def test_a_true_effect_is_found_and_sooner_where_it_is_large() -> None:
    """Effects in units of the spread between seeds; the truth is never refuted more often than promised."""
    tested = claim(looks=4, matters=1.0)
    assert tested.sizes_of_looks(FIRST) == [3, 5, 7, 11]
    expected = {3.0: (0.95, 6.0), 1.5: (0.55, 11.0)}
    for size, (least, most_seeds) in expected.items():
        draws = np.random.default_rng(1).normal(size, 1.0, (RUNS, 11))
        shares, seeds = simulate(tested, draws)
        assert shares["holds"] > least and shares.get("does not hold", 0.0) < 0.025 + 0.011
        assert seeds < most_seeds, (size, seeds)


def test_an_effect_too_small_to_matter_does_not_hold() -> None:
    """Where nothing is there, and what matters is twice the spread, that is known after few seeds."""
    tested = claim(looks=4, matters=2.0)
    draws = np.random.default_rng(2).normal(0.0, 1.0, (RUNS, 11))
    shares, seeds = simulate(tested, draws)
    assert shares["does not hold"] > 0.9 and seeds < 8


@pytest.mark.parametrize(
    ("first", "looks", "sizes"), [(3, 1, [3]), (2, 4, [2, 3, 5, 7]), (1, 3, [1, 2, 3]), (10, 3, [10, 15, 23])]
)
def test_the_numbers_of_seeds_are_fixed_beforehand(first: int, looks: int, sizes: list[int]) -> None:
    assert claim(looks=looks).sizes_of_looks(first) == sizes
