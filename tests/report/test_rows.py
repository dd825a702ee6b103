"""What a reader sees of lines and claims: what is shown, what is unknown, and what is not compared."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.kept.archive import _summary
from slt_bench.report.page import _scale, _section
from slt_bench.report.results import table_results
from slt_bench.report.rows import claim_row, claim_values, grid, line_rows
from slt_bench.report.table import latex
from slt_bench.report.verdicts.open_claims import open_claims
from slt_bench.report.verdicts.statistics import UNKNOWN
from tests.report.test_claims import TEXT
from tests.report.test_report import diverge, pretend, record_too

NETWORKS = "networks:\n  tinier: {kind: resnet18, width: 0.25}\n"
SMALL = "  one-small: {like: one, dataset: digits, seeds: [0, 1], networks: {tiny: tinier}}\n"
CLAIMS = """\
    claims:
      frozen: {text: is better, of: {row: frozen}, over: {row: dense}, across: most, looks: 2}
"""


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    """A table with a published value beside one of its lines, and a small one that stands for it."""
    monkeypatch.chdir(tmp_path)
    text = TEXT.replace("sparsity: [0.3, 0.5]}", "sparsity: [0.2, 0.5], published: iwasawa2023-dying-20}", 1)
    text = text.replace("sparsity: [0.3, 0.5]}", "sparsity: [0.2, 0.5]}").replace("networks:\n", NETWORKS)
    Path("params.yaml").write_text(text + CLAIMS + SMALL)
    return load_experiments()


def rows_of(params: Experiments, name: str) -> list[dict[str, str]]:
    for cell in params.tables[name].cells:
        pretend(cell, 60.0, coded_bytes=400)
    return line_rows(table_results(params.tables[name]))


def test_a_published_value_stands_beside_its_line_with_the_difference(params: Experiments) -> None:
    training, sparse, dense, *_ = rows_of(params, "one")
    assert sparse["published"] == "0.028 dying-edge ratio (iwasawa2023, secondary †)"
    assert sparse["difference"].startswith("+0.222 [")
    assert (dense["published"], dense["difference"], training["published"]) == (UNKNOWN,) * 3


def test_a_small_table_shows_the_value_and_no_difference(params: Experiments) -> None:
    _, sparse, *_ = rows_of(params, "one-small")
    assert sparse["published"] == "0.028 dying-edge ratio (iwasawa2023, secondary †)" and sparse["difference"] == UNKNOWN


def test_trained_weights_have_no_mask(params: Experiments) -> None:
    training, sparse, *_ = rows_of(params, "one")
    assert [training[name] for name in ("coded file", "(1-F)N / 8", "dying edges")] == [UNKNOWN] * 3
    assert [sparse[name] for name in ("file (bytes)", "coded file", "(1-F)N / 8", "dying edges")] == [
        "500",
        "400",
        "88",
        "0.2500",
    ]
    notes = table_results(params.tables["one"]).notes
    assert "Weight training is the baseline: its file holds the trained weights." in notes


def test_a_claim_says_from_how_many_it_was_selected(params: Experiments) -> None:
    rows_of(params, "one")
    (claim,) = table_results(params.tables["one"]).claims
    assert claim_values(claim)["selected from"] == 4, "two pairs, two looks"


@pytest.mark.parametrize(("gains", "is_open"), [((-9.0, 10.0), True), ((10.0, 10.01), False)])
def test_rivals_that_have_not_run_stand_beside_an_open_claim(
    params: Experiments, gains: tuple[float, ...], is_open: bool
) -> None:
    """Of "up to": any pair may decide it, so each that is open may be run; once one does, the others are asked no more."""
    for cell in params.tables["one"].cells:
        if cell.search.kind == "edge-popup" and cell.sparsity == 0.5:
            pretend(cell, 50.0 + (gains[cell.seed] if cell.source.freezing_ratio else 0.0))
    results = table_results(params.tables["one"])
    (claim,) = results.claims
    assert (claim.of.cell.sparsity, claim.unseen) == (0.5, 1)
    assert ("pairs of lines without a look yet: 1" in claim_row(claim)["n"]) == is_open
    assert [one.result.of.cell.sparsity for one in open_claims(results)] == ([0.5, 0.2] if is_open else [])


def test_what_diverged_is_counted_once(params: Experiments) -> None:
    cells = params.tables["one"].cells
    diverge(cells[2])
    (left_out, *_) = table_results(params.tables["one"]).warnings
    assert left_out.startswith(f"LEFT OUT: {len(cells)} of {len(cells)} cells: {len(cells) - 1} have not run yet; 1 diverged (")
    assert left_out.count("diverged") == 1


SHARED = "{id: dense, search: ep, sparsity: [0.2, 0.5], published: iwasawa2023-dying-20}"


def test_a_cell_that_two_rows_show_is_counted_once(params: Experiments) -> None:
    text = Path("params.yaml").read_text()
    assert SHARED in text
    Path("params.yaml").write_text(
        text.replace(SHARED, f"{SHARED}\n      - {{id: again, label: again, search: ep, sparsity: 0.5}}")
    )
    experiment = load_experiments().table("one")
    for cell in experiment.cells:
        pretend(cell, 60.0, seconds=1800.0)
    results, count = table_results(experiment), len(experiment.cells)
    assert sum(len(line.cells) for line in results.lines) == count + 2, "of two seeds"
    summary = _summary(results)
    assert (summary["cells"], summary["declared"], summary["hours"]) == (count, count, count)
    section = _section(results)
    assert (section["done"], section["cells"]) == (count, count)
    for cell in experiment.cells:
        record_too(cell, {"nondeterministic": "sort"})
    assert f"{count} of {count} cells used operations" in table_results(experiment).notes[-1]


def test_a_text_of_several_lines_stays_in_its_place(params: Experiments) -> None:
    """In a cell of a table, and in a comment of LaTeX."""
    diverge(params.tables["one"].cells[2])
    results = table_results(params.tables["one"])
    results.warnings[0] += "\nand\n\nmore"
    head, *rows = latex(results).split("\\begin{tabular}")
    assert len(rows) == 1 and all(line.startswith("% ") for line in head.splitlines())
    assert "a b" in grid([{"name": "a\nb"}], "latex_booktabs") and "a b" in grid([{"name": "a\nb"}])


def test_an_interval_without_an_end_has_no_bar(params: Experiments) -> None:
    rows_of(params, "one")
    (claim,) = table_results(params.tables["one"]).claims
    effect = replace(claim.effect, low=0.0, high=inf, size=1.0)
    assert _scale(replace(claim, effect=effect)) is None
    assert _scale(replace(claim, effect=replace(effect, high=2.0))) is not None
