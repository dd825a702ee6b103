"""Claims: effects, intervals, verdicts, and which lines are compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import t

from slt_bench.experiment.cell import Cell
from slt_bench.experiment.claims import pairs
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.params.claims import Claim, Side
from slt_bench.records.checksums import write_checksums
from slt_bench.report.results import table_results
from slt_bench.report.verdicts import claims as verdicts
from slt_bench.report.verdicts.claims import measure_effect
from slt_bench.report.verdicts.looks import looks_at
from slt_bench.report.verdicts.statistics import interval
from slt_bench.run.tables.reports import report_table
from tests.experiment.test_params import GOOD, refused
from tests.report.test_report import diverge, pretend

CLAIM = Claim(text="a over b", of=Side(row="a"), over=Side(row="b"))
RATIO = Claim(text="a / b", of=Side(row="a"), over=Side(row="b"), metric="bytes", compare="ratio", beyond=3.25)
CLAIMS = """\
    claims:
      frozen: {text: frozen is better, of: {row: frozen}, over: {row: dense}, published: iwasawa2023-gain10}
      most: {text: by up to, of: {row: frozen}, over: {row: dense}, across: most}
      one: {text: at 0.5 alone, of: {row: dense, sparsity: 0.5}, over: {row: dense, sparsity: 0.3}}
"""
TEXT = (
    GOOD.replace("{search: ep, sparsity: [0.3, 0.5]}", "{id: dense, search: ep, sparsity: [0.3, 0.5]}")
    .replace("{search: [ep, iep], source: {prune_ratio: [0.1, 0.2],", "{id: frozen, search: ep, source: {prune_ratio: 0.1,")
    .replace("lock_rule: joint}, sparsity: 0.5}", "lock_rule: joint}, sparsity: [0.3, 0.5]}")
    .replace("{search: training}", "{id: training, search: training}")
    .replace("source: digits", "source: cifar10")
    .replace("kind: conv4, width: 0.125", "kind: resnet18")
)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT + CLAIMS)
    return load_experiments(Path("params.yaml"))


def test_the_interval_is_students() -> None:
    width = 4.302652729911275 / np.sqrt(3)  # t of 97.5 % with two degrees of freedom, deviation 1
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2 - width, 2 + width))
    assert interval([1.0]) is None
    low, high = interval([1.0, 2.0, 3.0], selected_from=4) or (0, 0)
    assert high - low == pytest.approx(2 * t.ppf(1 - 0.05 / 8, 2) / np.sqrt(3))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 3))
    covered = [low <= 3.0 <= high for low, high in (interval(list(row)) or (0, 0) for row in draws)]
    assert 0.94 < np.mean(covered) < 0.96


@pytest.mark.parametrize(
    ("of", "over", "size", "verdict"),
    [
        ([80.0, 81.0, 82.0], [70.0, 71.1, 71.9], 10.0, "holds"),
        ([70.0, 71.1, 71.9], [80.0, 81.0, 82.0], -10.0, "does not hold"),
        ([80.0, 81.0, 82.0], [79.0, 82.0, 81.0], 1 / 3, "undecided"),
        ([80.0], [70.0], 10.0, "undecided"),
        ([], [], None, "undecided"),
    ],
)
def test_verdicts(of: list[float], over: list[float], size: float | None, verdict: str) -> None:
    found = measure_effect(CLAIM, of, over)
    assert found.verdict == verdict and found.n == len(of)
    assert found.size == (None if size is None else pytest.approx(size))


@pytest.mark.parametrize(
    ("values", "published", "verdict"),
    [
        ([0.2, -0.1, 0.1], 1.33, "published size excluded"),
        ([0.2, -0.1, 0.1], 0.3, "undecided"),
        ([0.2, -0.1, 0.1], None, "undecided"),
        ([0.5, 0.6, 0.55], 1.33, "holds"),
        ([-0.5, -0.6, -0.55], 1.33, "does not hold"),
        ([0.1], 1.33, "undecided"),
    ],
)
def test_a_published_size_may_be_excluded_where_zero_is_not(values: list[float], published: float | None, verdict: str) -> None:
    assert measure_effect(CLAIM, values, [0.0] * len(values), 1, published).verdict == verdict


def test_a_small_budget_excludes_no_published_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = "  one-small: {like: one, dataset: digits, seeds: [0, 1, 2]}\n"
    Path("params.yaml").write_text(TEXT.replace("seeds: [0, 1]", "seeds: [0, 1, 2]") + CLAIMS + small)
    tables, verdicts = load_experiments(Path("params.yaml")).tables, []
    for name in ("one", "one-small"):
        for cell in tables[name].cells:
            pretend(cell, 60.0 + 0.1 * (cell.seed * (-1) ** cell.seed) * (cell.source.freezing_ratio > 0))
        verdicts.append({result.effect.verdict for result in table_results(tables[name]).claims if result.published})
    assert verdicts == [{"published size excluded"}, {"undecided"}]


def test_times_on_unlike_machines_are_not_compared(params: Experiments) -> None:
    table = params.tables["one"].table
    claim = CLAIM.model_copy(update={"metric": "epoch_seconds", "of": Side(row="frozen"), "over": Side(row="dense")})
    for cell in params.tables["one"].cells:
        pretend(cell, 60.0, seconds=2.0 + cell.seed)
    changed = next(c for c in params.tables["one"].cells if c.source.freezing_ratio and c.seed == 1 and c.sparsity == 0.3)
    path = changed.directory / "search.json"
    path.write_text(path.read_text().replace('"gpu": null', '"gpu": "H200"'))
    write_checksums(changed.directory)
    lines = {(line.row, line.cell.sparsity): line for line in table_results(params.tables["one"]).lines}
    rows = {row.id: number for number, row in enumerate(table.rows)}
    looks = looks_at(table, claim, lines[rows["frozen"], 0.3], lines[rows["dense"], 0.3])
    assert list(looks.values) == [0] and "on unlike machines: H200" in looks.lost[1][0]


def test_what_follows_from_the_construction_is_no_finding() -> None:
    identity = RATIO.model_copy(update={"by_construction": True})
    assert measure_effect(identity, [330.0, 330.0], [100.0, 100.0]).verdict == "by construction"
    assert measure_effect(identity, [300.0, 300.0], [100.0, 100.0]).verdict == "does not hold", "and would be a fault"


def test_ratios_are_geometric_and_may_be_exact() -> None:
    found = measure_effect(RATIO, [330.0, 330.0], [100.0, 100.0])
    assert (found.low, found.size, found.high) == pytest.approx((3.3, 3.3, 3.3)) and found.verdict == "holds"
    assert measure_effect(RATIO, [200.0, 800.0], [100.0, 100.0]).size == pytest.approx(4.0)
    assert measure_effect(RATIO, [300.0, 300.0], [100.0, 100.0]).verdict == "does not hold"  # short of 3.25


def test_lines_are_paired_by_what_differs_in_the_other_row_and_by_seed(params: Experiments) -> None:
    values = {("dense", 0.3): (50.0, 52.0), ("dense", 0.5): (60.0, 61.0), ("frozen", 0.3): (51.0, 53.0),
              ("frozen", 0.5): (70.0, 71.0)}  # fmt: skip

    def accuracy(cell: Cell) -> float:
        return values["frozen" if cell.source.freezing_ratio else "dense", cell.sparsity][cell.seed]

    for cell in params.tables["one"].cells[2:]:
        pretend(cell, accuracy(cell))
    at_30, at_50, most, one = table_results(params.tables["one"]).claims
    assert (at_30.effect.size, at_50.effect.size) == pytest.approx((1.0, 10.0))
    assert at_30.of.cell.sparsity == at_30.over.cell.sparsity == 0.3
    assert most.effect.size == pytest.approx(10.0) and most.of.cell.sparsity == 0.5 and most.pairs == 2
    assert one.effect.size == pytest.approx(9.5) and one.effect.verdict == "holds"
    assert at_50.effect.verdict == "holds" and [value.value for value in at_50.published] == [1.33]
    markdown = report_table(params.tables["one"])
    assert "## Claims" in markdown and "10.00 [10.00, 10.00] points" in markdown and "1.33 gain" in markdown


def test_a_freezing_ratio_chooses_the_lines_of_a_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sides = ("{row: frozen, sparsity: 0.5, freezing_ratio: 0.3}", "{row: frozen, sparsity: 0.3, freezing_ratio: 0.4}")
    claim = f"      half: {{text: x, of: {sides[0]}, over: {sides[1]}}}\n"
    Path("params.yaml").write_text(TEXT.replace("prune_ratio: 0.1,", "prune_ratio: [0.1, 0.2],") + "    claims:\n" + claim)
    experiment = load_experiments(Path("params.yaml")).tables["one"]
    cells = [cell for cell in experiment.rows[2] if not cell.seed]
    ((of, over),) = pairs(experiment.table, experiment.table.claims["half"], cells, cells)
    assert [(side.sparsity, round(side.source.freezing_ratio, 9)) for side in (of, over)] == [(0.5, 0.3), (0.3, 0.4)]


def test_a_freezing_ratio_of_many_digits_is_itself() -> None:
    assert Side(row="a", freezing_ratio=1 / 3).has(0.5, 1 / 3) and not Side(row="a", freezing_ratio=1 / 3).has(0.5, 0.3333)


def test_there_is_no_ratio_to_nothing(params: Experiments) -> None:
    """A mask without a free edge takes no bytes."""
    claim = RATIO.model_copy(update={"metric": "mask_packed_bytes", "of": Side(row="frozen"), "over": Side(row="dense")})
    experiment = params.tables["one"]
    experiment = replace(experiment, table=experiment.table.model_copy(update={"claims": {"ratio": claim}}))
    for cell in params.tables["one"].cells[2:]:
        pretend(cell, 50.0, mask_packed_bytes=100 * cell.seed)
    found = table_results(experiment).claims
    assert [each.effect.n for each in found] == [1, 1]
    assert [each.effect.size for each in found] == pytest.approx([1.0, 1.0])


def test_seeds_without_a_pair_are_counted_and_the_reason_is_said(params: Experiments) -> None:
    cells = {(cell.source.freezing_ratio > 0, cell.sparsity, cell.seed): cell for cell in params.tables["one"].cells[2:]}
    for key, cell in cells.items():
        if key == (True, 0.5, 1):
            diverge(cell)
        elif key != (False, 0.3, 0):
            pretend(cell, 50.0)
    at_30, at_50, *_ = table_results(params.tables["one"]).claims
    assert (at_30.effect.n, at_50.effect.n) == (1, 1) and {at_30.effect.verdict, at_50.effect.verdict} == {"undecided"}
    assert at_30.left_out == ["seed 0 (edge popup: has not run yet)"]
    assert len(at_50.left_out) == 1 and at_50.left_out[0].startswith("seed 1 (edge popup: diverged: epoch 1, step 3")
    assert "1 (before the first look); left out: seed 0 (edge popup: has not run yet)" in report_table(params.tables["one"])


BY_SHARE = """\
      - {id: pruned, search: ep, source: {prune_ratio: [0.2, 0.4], layout: epl}, free_kept: 0.5}
      - id: mixed
        search: ep
        source: {freezing_ratio: [0.2, 0.4], prune_share: 0.5, layout: epl, lock_rule: joint}
        free_kept: 0.5
      - {id: thin, search: ep, source: {prune_ratio: [0.2, 0.4], layout: epl}, sparsity: 0.7}
    claims:
      by-share: {text: t, of: {row: mixed}, over: {row: pruned}}
      one-to-many: {text: t, of: {row: dense, sparsity: 0.5}, over: {row: mixed}}
"""


def test_rows_by_share_are_paired_by_it_and_one_line_with_many(params: Experiments) -> None:
    """Half of the free edges is another sparsity in every source."""
    Path("params.yaml").write_text(TEXT + BY_SHARE)
    experiments = load_experiments(Path("params.yaml"))
    found = table_results(experiments.tables["one"]).claims
    assert [each.of.cell.source.freezing_ratio for each in found] == pytest.approx([0.2, 0.4, 0.0, 0.0])
    assert [each.over.cell.source.freezing_ratio for each in found] == pytest.approx([0.2, 0.4, 0.2, 0.4])
    assert [each.over.cell.sparsity for each in found[:2]] == [0.6, 0.7] and found[0].of.cell.sparsity == 0.5


@pytest.mark.parametrize(
    ("gains", "verdict", "sparsity", "size"),
    [
        ({0.3: (1.0, 1.01), 0.5: (0.0, 9.0)}, "holds", 0.3, 1.005),
        ({0.3: (-1.0, -1.01), 0.5: (-2.0, -2.01)}, "does not hold", 0.3, -1.005),
    ],
)
def test_what_is_claimed_of_the_most_holds_if_any_pair_does(
    params: Experiments, gains: dict[float, tuple[float, float]], verdict: str, sparsity: float, size: float
) -> None:
    """The largest mean may be the least certain."""
    for cell in params.tables["one"].cells:
        if cell.search.kind == "edge-popup":
            pretend(cell, 50.0 + (gains[cell.sparsity][cell.seed] if cell.source.freezing_ratio else 0.0))
    (most,) = [result for result in table_results(params.tables["one"]).claims if result.claim.across == "most"]
    assert (most.effect.verdict, most.of.cell.sparsity, most.pairs) == (verdict, sparsity, 2)
    assert most.effect.size == pytest.approx(size)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("of: {row: frozen}, over: {row: dense}, published", "of: {row: frosen}, over: {row: dense}, published",
         r":23: tables\.one\.claims\.frozen\.of\.row: there is no row 'frosen'; did you mean 'frozen'\?"),
        ("row: dense, sparsity: 0.5}", "row: dense, sparsity: 0.7}",
         r":25: tables\.one\.claims\.one\.of\.sparsity: row dense has no sparsity 0\.7"),
        ("row: dense, sparsity: 0.5}", "row: dense, sparsity: 0.5, freezing_ratio: 0.2}",
         r"claims\.one\.of\.sparsity: row dense has no sparsity 0\.5 at freezing ratio 0\.2"),
        ("iwasawa2023-gain10", "iwasawa2023-gain100",
         r"'iwasawa2023-gain100' is of resnet18 on cifar100, this row is of resnet18 on cifar10 at 0\.3, resnet18"),
        ("sparsity: [0.3, 0.5]}\n    claims", "sparsity: [0.6, 0.7]}\n    claims",
         r":23: tables\.one\.claims\.frozen: no cell of row frozen agrees with just one of row dense in network, recipe"),
        ("iwasawa2023-gain10", "iwasawa2023-dying-20",
         r"claims\.frozen\.published: 'iwasawa2023-dying-20' is a dying-edge ratio, here stands gain"),
        ("published: iwasawa2023-gain10", "metric: bytes, published: iwasawa2023-gain10", r"a gain, here stands nothing"),
        ("over: {row: dense, sparsity: 0.3}", "over: {row: dense, sparsity: 0.5}",
         r"claims\.one: row dense is compared with itself at digits_tiny_dense_ep_quick_s50: name another row"),
        ("of: {row: dense, sparsity: 0.5}, over: {row: dense, sparsity: 0.3}",
         "metric: mask_packed_bytes, of: {row: training}, over: {row: dense}",
         r"claims\.one: mask_packed_bytes is of masks, and says nothing of weight training, in digits_tiny_dense_train"),
        ("sparsity: [0.3, 0.5]}\n    claims", "sparsity: 0.6}\n    claims",
         r":23: .*frozen: it would compare row frozen at 0\.6 with row dense at 0\.3: where that is meant, say"),
        ("{id: frozen,", "{id: frozen, seeds: [2, 3],", r"rows frozen and dense have no seed in common, by which"),
        ("across: most", "compare: ratio", r"compare: ratio is for bytes and seconds; top1 may be 0"),
        ("{id: frozen,", "{id: dense,", r"rows\[2\]\.id: 'dense' is the id of another row too"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, old: str, new: str, message: str) -> None:
    refused(tmp_path / "params.yaml", TEXT + CLAIMS, old, new, message)


def test_a_claim_compares_what_was_trained_on_as_many_images(tmp_path: Path) -> None:
    whole = "  whole: {epochs: 2, batch_size: 64, learning_rate: 0.1, train_on: all}\n"
    text = (TEXT + CLAIMS).replace("recipes:\n", f"recipes:\n{whole}")
    message = r"tables\.one\.claims\.frozen: recipes whole and quick do not train on as many images: give both"
    refused(tmp_path / "params.yaml", text, "{id: frozen,", "{id: frozen, recipe: whole,", message)


def test_equal_values_are_not_more() -> None:
    assert measure_effect(CLAIM, [60.0, 61.0], [60.0, 61.0]).verdict == "undecided"


def test_pairs_and_looks_share_one_error_and_the_least_published_size_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT + CLAIMS.replace("across: most", "across: most, looks: 3"))
    monkeypatch.setattr(verdicts, "fitting", lambda *_: [SimpleNamespace(value=9.0), SimpleNamespace(value=1.33)])
    experiment = load_experiments(Path("params.yaml")).tables["one"]
    tested = verdicts.test_claims(experiment, table_results(experiment).lines)
    (most,) = [result for result in tested if result.claim.across == "most"]
    assert most.pairs == 6 and most.effect.published == 1.33


def test_a_claim_that_is_looked_at_once_waits_for_all_of_its_seeds(params: Experiments) -> None:
    """Else it would be looked at whenever some have run."""
    Path("params.yaml").write_text(TEXT.replace("seeds: [0, 1]", "seeds: [0, 1, 2]") + CLAIMS)
    experiments = load_experiments(Path("params.yaml"))
    for cell in experiments.tables["one"].cells:
        if cell.seed < 2:
            pretend(cell, 50.0 + 10 * (cell.source.freezing_ratio > 0) + 0.01 * cell.seed)
    first, *_ = table_results(experiments.tables["one"]).claims
    assert (first.effect.n, first.effect.low, first.verdict, first.look, first.further) == (2, None, "undecided", 0, [3])
    for cell in experiments.tables["one"].cells:
        if cell.seed == 2:
            pretend(cell, 50.0 + 10 * (cell.source.freezing_ratio > 0))
    first, *_ = table_results(experiments.tables["one"]).claims
    assert (first.effect.n, first.verdict, first.look) == (3, "holds", 1)


@pytest.mark.parametrize("ratio", [2, 3, 4, 5, 6, 7, 10])
def test_a_ratio_that_is_just_what_must_be_exceeded_does_not_exceed_it(ratio: int) -> None:
    claim = RATIO.model_copy(update={"beyond": float(ratio)})
    assert measure_effect(claim, [100.0 * ratio] * 3, [100.0] * 3).verdict == "undecided"
    assert measure_effect(claim, [100.1 * ratio] * 3, [100.0] * 3).verdict == "holds"
    assert measure_effect(claim, [99.9 * ratio] * 3, [100.0] * 3).verdict == "does not hold"


def test_ratios_that_are_too_unlike_have_an_interval_without_end() -> None:
    effect = measure_effect(RATIO, [100.0, 300.0], [100.0, 100.0], selected_from=160)
    assert (effect.low, effect.high, effect.verdict) == (0.0, float("inf"), "undecided")


@pytest.mark.parametrize("beyond", [0.0, -1.0])
def test_a_ratio_exceeds_nothing_below_0(beyond: float) -> None:
    with pytest.raises(ValueError, match="a ratio of bytes or seconds is above 0 in any case"):
        Claim.model_validate(RATIO.model_dump() | {"beyond": beyond})
