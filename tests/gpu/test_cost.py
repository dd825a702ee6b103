"""The cost of a search is computed from what was measured, and the documents have what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import cost

DOCUMENT = Path(__file__).parents[2] / "docs/scale.md"


def test_the_documents_have_what_the_model_gives() -> None:
    assert cost.table() in DOCUMENT.read_text(encoding="utf-8")


def test_the_model_gives_what_an_epoch_took() -> None:
    """100 epochs of Conv6 in tf32, with their validations, took 71 s."""
    rate = cost.rates()["Conv6", "tf32"]
    assert 3600 * cost.hours("Conv6", rate, 1) == pytest.approx(71, rel=0.1)


def test_money_is_hours_times_a_price() -> None:
    hours = cost.hours("ResNet-50", cost.rates()["ResNet-50", "bfloat16"], 8)
    printed = CliRunner().invoke(cost.main, ["--price", "3"]).output
    assert f", {3 * 8 * hours:.2f} " in printed and hours == pytest.approx(0.92, rel=0.01)
