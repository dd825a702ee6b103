"""Figures take seconds: only tests that look at them draw them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from slt_bench.report.lines import Line


@pytest.fixture(autouse=True)
def figures_where_they_are_looked_at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave figures out of reports, unless the test is marked `figures`."""

    def draw_nothing(lines: Sequence[Line], title: str, directory: Path) -> list[str]:
        (directory / "figures").mkdir(parents=True, exist_ok=True)
        return []

    if request.node.get_closest_marker("figures") is None:
        monkeypatch.setattr("slt_bench.report.write.draw_figures", draw_nothing)
