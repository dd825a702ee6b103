"""What the smoke table must show once it has run (`make smoke`)."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import pytest

from slt_bench.experiment.load import load_experiments
from slt_bench.report.lines import Line
from slt_bench.report.results import table_results

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def smoke(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    monkeypatch.chdir(ROOT)
    found = table_results(load_experiments(Path("params.yaml")).tables["smoke"]).lines
    if not all(line.results for line in found):
        pytest.skip("the smoke table has not run: `make smoke`")
    return found


def test_every_ticket_is_clearly_above_the_random_mask(smoke: list[Line]) -> None:
    random = max(value for line in smoke if line.cell.search.kind == "random-mask" for value in line.values("top1"))
    searched = [line for line in smoke if line.cell.search.kind in ("edge-popup", "iterative-edge-popup")]
    assert {line.cell.source.kind for line in searched} == {"dense", "randomly pruned", "frozen"}
    for line in searched:
        assert min(line.values("top1")) > random + 10, line.cell.id


def test_every_row_has_two_seeds_and_exact_counts(smoke: list[Line]) -> None:
    for line in smoke:
        assert len(line.results) == 2 and mean(line.values("images")) == 1000
        for result in line.results:
            assert result.record["asked"] == result.record["realised"]
