"""The picture of all claims about accuracy: what is in it, and when there is none."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from slt_bench.experiment.load import load_experiments
from slt_bench.kept.claims import _estimate, draw_claims
from slt_bench.kept.table import kept_tables

RESULTS = Path(__file__).parents[2] / "results"
CLAIM = {
    "claim": "Iterative is better, by", "of": "iterative, pruned 45 % + locked 5 % (epl), tiny, digits, s = 0.9",
    "over": "edge popup, tiny, digits, s = 0.5", "effect": "-1.50 [-2.00, -1.00] points", "must exceed": "0 (by 1 to matter)",
    "verdict": "does not hold",
}  # fmt: skip


def summaries(**changes: str) -> dict[str, dict[str, Any]]:
    return {"evidence-digits": {"claims": [CLAIM | changes]}}


@pytest.mark.figures
def test_a_claim_is_a_line_with_its_interval(tmp_path: Path) -> None:
    estimate = _estimate("evidence-digits", CLAIM)
    assert estimate is not None and estimate.label == "digits, s = 0.9, pruned 45 % + locked 5 %"
    assert (estimate.size, estimate.low, estimate.high, estimate.verdict) == (-1.5, -2.0, -1.0, "does not hold")
    for name in ("one.svg", "two.svg"):
        assert draw_claims(summaries(), tmp_path / name)
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "two.svg").read_text(), "equal results give equal bytes"
    assert draw_claims(summaries(claim="5 $ a^^ $, by", of=CLAIM["of"].replace("tiny", "$^$")), tmp_path / "wild.svg")
    assert "<!-- 5 $ a^^ $ -->" in (tmp_path / "wild.svg").read_text(), "and nothing is taken for mathematics"
    assert "<!-- Iterative is better -->" in drawn and "<!-- does not hold -->" in drawn


@pytest.mark.parametrize("label", ["best 5 %", "best, 5 %", "pruned 5 % more", "5 %, of all"])
def test_a_share_in_a_label_is_no_source(label: str) -> None:
    dense, frozen = (f"{label}, {source}tiny, digits, s = 0.9" for source in ("", "locked 5 % (epl), "))
    for of, expected in ((dense, "digits, s = 0.9"), (frozen, "digits, s = 0.9, locked 5 %")):
        estimate = _estimate("evidence-digits", CLAIM | {"of": of})
        assert estimate is not None and estimate.label == expected


@pytest.mark.figures
@pytest.mark.parametrize(
    "changes",
    [{"must exceed": "10"}, {"effect": "1.82 points"}, {"effect": "68.5 [62.0, 75.0] points"}, {"effect": "0.27 [0.26, 0.28]"}],
)
def test_what_cannot_stand_beside_the_others_is_left_out(tmp_path: Path, changes: dict[str, str]) -> None:
    """Another threshold, no interval, far from zero, another unit; and an old picture goes with the last claim."""
    (tmp_path / "claims.svg").write_text("old")
    assert not draw_claims(summaries(**changes), tmp_path / "claims.svg") and not (tmp_path / "claims.svg").exists()


def test_small_tables_are_left_out(tmp_path: Path) -> None:
    assert not draw_claims({"evidence-digits": {"claims": [CLAIM], "small": True}}, tmp_path / "claims.svg")


@pytest.mark.figures
def test_the_picture_that_is_kept_is_of_what_is_kept(tmp_path: Path) -> None:
    kept_ones = {table.name: table.made for table in kept_tables(RESULTS)}
    made = {name: kept_ones[name] for name in load_experiments(RESULTS.parent / "params.yaml").tables if name in kept_ones}
    assert draw_claims(made, tmp_path / "claims.svg")
    drawn, kept = ((folder / "claims.svg").read_text() for folder in (tmp_path, RESULTS))
    if version("matplotlib") not in kept:
        pytest.skip("it was drawn by another version of matplotlib")
    assert drawn == kept
