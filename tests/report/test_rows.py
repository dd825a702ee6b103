"""What a reader sees of lines and claims: what is shown, what is unknown, and what is not compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.report.results import table_results
from slt_bench.report.rows import claim_values, line_rows
from slt_bench.report.verdicts.statistics import UNKNOWN
from tests.report.test_claims import TEXT
from tests.report.test_report import diverge, pretend

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


def test_what_diverged_is_counted_once(params: Experiments) -> None:
    cells = params.tables["one"].cells
    diverge(cells[2])
    (left_out, *_) = table_results(params.tables["one"]).warnings
    assert left_out.startswith(f"LEFT OUT: {len(cells)} of {len(cells)} cells: {len(cells) - 1} have not run yet; 1 diverged (")
    assert left_out.count("diverged") == 1
