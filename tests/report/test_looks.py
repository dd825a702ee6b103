"""Looking several times does not raise the error: a simulation of the stopping rule, and the seeds that are looked at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.kept.archive import _counted
from slt_bench.params.claims import Claim, Side
from slt_bench.report.results import table_results
from slt_bench.report.rows import claim_row
from slt_bench.report.verdicts.claims import _VERDICTS as VERDICTS
from slt_bench.report.verdicts.claims import ClaimResult, measure_effect, take_looks
from slt_bench.report.verdicts.looks import Looks
from slt_bench.report.verdicts.open_claims import describe, open_claims, would_decide
from tests.report.test_claims import CLAIM, RATIO, TEXT
from tests.report.test_report import diverge, pretend

RUNS, FIRST = 2000, 3


def claim(**changes: object) -> Claim:
    return Claim.model_validate({"text": "a over b", "of": Side(row="a"), "over": Side(row="b"), **changes})


def simulate(tested: Claim, draws: NDArray[np.float64]) -> tuple[dict[str, float], float]:
    """Look until decided, as a table does; returns the share of each verdict, and the mean number of seeds.

    Args:
        tested: the claim.
        draws: [runs, seeds of the last look], differences.
    """
    ends: list[str] = []
    seeds, sizes = [], tested.sizes_of_looks(FIRST)
    for row in draws:
        looks = Looks(list(range(len(row))), sizes, {seed: (value, 0.0) for seed, value in enumerate(row)}, {})
        effect, taken, _ = take_looks(tested, looks, tested.looks, None)
        ends.append(effect.verdict)
        seeds.append(len(taken))
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
    expected = {3.0: (1.0, 4.6), 1.5: (0.96, 7.3)}  # the share that holds at last, and the mean number of seeds
    for size, (holding, mean_seeds) in expected.items():
        draws = np.random.default_rng(1).normal(size, 1.0, (RUNS, 11))
        shares, seeds = simulate(tested, draws)
        assert shares["holds"] == pytest.approx(holding, abs=0.02)
        assert seeds == pytest.approx(mean_seeds, abs=0.3)
        assert shares.get("does not hold", 0.0) < 0.025 + 0.011


def test_an_effect_that_just_matters_is_refuted_no_more_often_than_promised() -> None:
    draws = np.random.default_rng(4).normal(1.0, 1.0, (RUNS, 11))
    shares, _ = simulate(claim(looks=4, matters=1.0), draws)
    assert shares.get("does not hold", 0.0) < 0.025 + 0.011


@pytest.mark.parametrize(
    ("draw", "wrong"),
    [
        (lambda rng: rng.standard_t(3, (RUNS, 11)), 0.015),
        (lambda rng: rng.uniform(-1.0, 1.0, (RUNS, 11)), 0.03),
        (lambda rng: 1.0 - rng.exponential(1.0, (RUNS, 11)), 0.15),
    ],
    ids=["heavy tails", "no tails", "skewed"],
)
def test_where_differences_are_skewed_the_error_is_larger(draw: Callable[[Any], NDArray[np.float64]], wrong: float) -> None:
    """Student's interval takes them as normal; what that costs where there is no effect (docs/tables.md)."""
    shares, _ = simulate(claim(looks=4), draw(np.random.default_rng(5)))
    assert shares.get("holds", 0.0) == pytest.approx(wrong, abs=0.02)


def test_the_rule_is_a_t_test_at_each_look_with_a_share_of_the_error() -> None:
    """As another library has it."""
    tested = claim(looks=4, matters=1.0)
    for row in np.random.default_rng(3).normal(0.8, 1.0, (200, 11)):
        for size in (3, 5, 7, 11):
            ends = ttest_1samp(row[:size], 0.0).confidence_interval(1 - 0.05 / 4)
            expected = "holds" if ends.low > 0 else "does not hold" if ends.high < 1 else "undecided"
            if expected != "undecided":
                break
        looks = Looks(list(range(11)), [3, 5, 7, 11], {seed: (value, 0.0) for seed, value in enumerate(row)}, {})
        effect, taken, _ = take_looks(tested, looks, tested.looks, None)
        assert (effect.verdict, len(taken)) == (expected, size)


@pytest.mark.parametrize(
    ("matters", "refuted", "mean_seeds"), [(None, 0.02, 10.8), (1.0, 0.65, 9.1), (2.0, 0.99, 5.7), (3.0, 0.99, 4.6)]
)
def test_where_nothing_is_there_more_that_matters_takes_fewer_seeds(
    matters: float | None, refuted: float, mean_seeds: float
) -> None:
    """What matters in units of the spread between seeds."""
    tested = claim(looks=4, **({} if matters is None else {"matters": matters}))
    draws = np.random.default_rng(2).normal(0.0, 1.0, (RUNS, 11))
    shares, seeds = simulate(tested, draws)
    assert shares["does not hold"] == pytest.approx(refuted, abs=0.02) and seeds == pytest.approx(mean_seeds, abs=0.2)


@pytest.mark.parametrize(
    ("first", "looks", "sizes"), [(3, 1, [3]), (2, 4, [2, 3, 5, 7]), (1, 3, [1, 2, 3]), (10, 3, [10, 15, 23])]
)
def test_the_numbers_of_seeds_are_fixed_beforehand(first: int, looks: int, sizes: list[int]) -> None:
    assert claim(looks=looks).sizes_of_looks(first) == sizes


CLAIMS = """\
    claims:
      frozen: {text: is better, of: {row: frozen, sparsity: 0.5}, over: {row: dense, sparsity: 0.5}, matters: 1, looks: 3}
      once: {text: looked at once, of: {row: frozen, sparsity: 0.5}, over: {row: dense, sparsity: 0.5}}
"""


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((TEXT + CLAIMS).replace("seeds: [0, 1]", "seeds: [5, 6]"))
    return load_experiments(Path("params.yaml"))


def run(params: Experiments, seeds: list[int], gain: Callable[[int], float]) -> None:
    """Cells of both lines seem to have run, with this gain of the frozen one by its seed."""
    experiment = params.tables["one"]
    for cell in (*experiment.cells, *experiment.spare_cells):
        if cell.seed in seeds and cell.sparsity == 0.5 and cell.search.kind == "edge-popup" and not cell.directory.exists():
            pretend(cell, 60.0 + (gain(cell.seed) if cell.source.freezing_ratio else 0.0))


def claims_of(params: Experiments) -> list[ClaimResult]:
    return table_results(params.tables["one"]).claims[:2]


def cells_of(params: Experiments, seed: int) -> list[Cell]:
    experiment = params.tables["one"]
    return [cell for cell in (*experiment.cells, *experiment.spare_cells) if cell.seed == seed and cell.directory.exists()]


def test_the_tables_own_seeds_come_first_then_those_after_the_largest(params: Experiments) -> None:
    (frozen, once) = claims_of(params)
    assert frozen.usable == [5, 6, 7, 8, 9, 10, 11] and frozen.further == [2, 3, 5] and once.usable == [5, 6]
    (claim, *_) = open_claims(table_results(params.tables["one"]))
    assert {cell.seed for cell in claim.cells} == {5, 6}


def test_no_look_is_taken_before_all_of_its_seeds_have_run(params: Experiments) -> None:
    gains = {5: 2.0, 6: 2.2, 7: 30.0, 8: -9.0}
    run(params, [5, 7, 8], gains.__getitem__)
    (frozen, once) = claims_of(params)
    assert frozen.look == 0 and frozen.effect.low is None and frozen.effect.verdict == "undecided"
    assert (frozen.pairs, once.pairs) == (3, 1), "the looks share one error"
    assert frozen.further == [2, 3, 5] and once.effect.n == 1
    run(params, [6], gains.__getitem__)
    (frozen, once) = claims_of(params)
    assert frozen.look == 2 and frozen.seeds == (5, 6, 7), "the first look decided nothing"
    assert frozen.left_out == ["seed 8 (of no look, or of a later one)"]
    assert once.seeds == (5, 6), "a claim that is looked at once takes the seeds of its table"
    assert claim_row(frozen)["n"].startswith("3 (look 2 of 3)") and claim_row(frozen)["must exceed"] == "0 (by 1 to matter)"


def test_the_first_look_that_decides_stands(params: Experiments) -> None:
    gains = {5: 10.0, 6: 10.1, 7: -40.0}
    run(params, [5, 6], gains.__getitem__)
    assert claims_of(params)[0].effect.verdict == "holds"
    run(params, [7], gains.__getitem__)  # that another claim asked for
    (frozen, _) = claims_of(params)
    assert (frozen.effect.verdict, frozen.effect.n, frozen.look, frozen.further) == ("holds", 2, 1, [])


def test_a_seed_that_diverged_is_replaced_by_the_next(params: Experiments) -> None:
    run(params, [5, 7], lambda seed: 3.0 + seed / 100)
    diverge(
        next(cell for cell in params.tables["one"].cells if cell.seed == 6 and cell.id.endswith("dense_ep_quick_s50_seed6"))
    )
    (frozen, once) = claims_of(params)
    assert frozen.usable[:3] == [5, 7, 8] and frozen.seeds == (5, 7) and once.seeds == (5,)
    assert "diverged" in frozen.left_out[0] and once.further == [], "one seed is all that there is, and can be"
    (stays, *_) = [claim for claim in open_claims(table_results(params.tables["one"])) if claim.result.claim.looks == 1]
    assert describe(stays, None, None).startswith("stays undecided: looked at once")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{id: frozen, search: ep,", "{id: frozen, seeds: [6, 5, 9], search: ep,"),
        ("{id: dense, search: ep,", "{id: dense, seeds: [6, 5], search: ep,"),
        ("layout: epl, lock_rule: joint}", "layout: from_ticket, ticket: {search: ep, sparsity: 0.5}}"),
    ],
)
def test_rows_with_their_own_seeds_or_tickets_have_no_further_ones(params: Experiments, old: str, new: str) -> None:
    text = Path("params.yaml").read_text()
    assert old in text
    Path("params.yaml").write_text(text.replace(old, new))
    changed = load_experiments(Path("params.yaml"))
    (frozen, _) = claims_of(changed)
    assert set(frozen.usable) == {5, 6} and frozen.further == [2], "those that both rows have"
    (needed, *_) = open_claims(table_results(changed.tables["one"]))
    assert {cell.seed for cell in needed.cells} == {5, 6}


def test_a_look_for_which_too_many_seeds_diverged_is_not_taken(params: Experiments) -> None:
    """Not even with those that are left, of which there are fewer than was fixed."""
    gains = {5: 3.0, 6: -3.0, 7: 0.5, 8: 0.4}
    run(params, [5, 6, 7, 8], gains.__getitem__)
    for cell in params.tables["one"].spare_cells:
        if cell.seed > 8 and cell.setting.endswith("dense_ep_quick_s50"):
            diverge(cell)
    (frozen, _) = claims_of(params)
    assert frozen.usable == [5, 6, 7, 8] and frozen.seeds == (5, 6, 7) and (frozen.look, frozen.further) == (2, [])


def test_a_seed_that_a_first_look_waits_for_is_named(params: Experiments) -> None:
    run(params, [5], float)
    assert [claim.left_out for claim in claims_of(params)] == [["seed 6 (edge popup: has not run yet)"]] * 2


def test_a_better_line_holds_though_by_less_than_matters(params: Experiments) -> None:
    """Beyond the threshold is beyond it; what reaches around it, and short of what matters, does not hold."""
    effects = [measure_effect(claim(matters=1.0), values, [0.0] * 3) for values in ([0.5, 0.55, 0.45], [0.1, -0.1, 0.2])]
    assert [effect.verdict for effect in effects] == ["holds", "does not hold"]


def test_what_is_exploratory_says_so_and_asks_for_no_seeds(params: Experiments) -> None:
    run(params, [5, 6], lambda seed: float(seed))
    experiment = params.tables["one"]
    experiment.table.claims["frozen"] = experiment.table.claims["frozen"].model_copy(update={"exploratory_in": ["one"]})
    (frozen, once) = claims_of(params)
    assert frozen.verdict == "exploratory: undecided" == claim_row(frozen)["verdict"] and once.verdict == "undecided"
    assert frozen.effect.is_open and [each.result.claim.text for each in open_claims(table_results(experiment))] == [
        "looked at once"
    ]
    assert _counted([frozen.verdict, once.verdict]) == "undecided: 1"


def test_a_claim_is_exploratory_in_tables_that_have_it(params: Experiments) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("looks: 3}", "looks: 3, exploratory_in: [one, oen]}", 1))
    with pytest.raises(BenchError, match=r"exploratory_in.*no table 'oen' has this claim; did you mean 'one'"):
        load_experiments(Path("params.yaml"))


def test_spare_cells_that_did_not_end_are_no_part_of_a_table(params: Experiments) -> None:
    run(params, [5, 6, 7], lambda seed: 3.0 + seed / 100)
    (cell, *_) = cells_of(params, 7)
    (cell.directory / "metrics.json").unlink()
    results = table_results(params.tables["one"])
    assert cell.id not in results.outcomes and params.cell(cell.id) == cell, "but they can be run by name"
    shutil.rmtree(cell.directory)
    assert cell.id not in table_results(params.tables["one"]).outcomes


def test_for_up_to_the_published_size_is_excluded_only_where_no_pair_is_open(params: Experiments) -> None:
    excluded, open_one = (
        measure_effect(claim(), values, [0.0] * 3, published=1.33) for values in ([0.1, -0.1, 0.2], [3.0, -3.0, 9.0])
    )
    assert excluded.verdict == "published size excluded" and open_one.verdict == "undecided"
    assert VERDICTS.index(open_one.verdict) > VERDICTS.index(excluded.verdict)


def test_whether_seeds_would_decide_heeds_the_level_and_the_unit() -> None:
    values = [0.0, 1.0, 2.0]
    near = measure_effect(CLAIM, values, [0.0] * 3)  # n = 6: 1 +- 1.05 at the level of one, 1 +- 1.64 of four
    results: list[Any] = [SimpleNamespace(effect=near, claim=CLAIM, pairs=pairs) for pairs in (1, 4)]
    assert [would_decide(result, 7) for result in results] == [True, False]
    ratio = measure_effect(RATIO, [330.0, 330.1], [100.0, 100.0])
    alone: Any = SimpleNamespace(effect=ratio, claim=RATIO, pairs=1)
    assert would_decide(alone, 2)
    short = measure_effect(RATIO, [330.0, 320.0], [100.0, 100.0])
    alone.effect = short
    assert not would_decide(alone, 2)
    beaten: Any = SimpleNamespace(effect=measure_effect(CLAIM, [-2.0, -2.1], [0.0] * 2), claim=CLAIM, pairs=1)
    assert would_decide(beaten, 3), "that it does not hold is a decision too"
