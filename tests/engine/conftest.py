"""Runs in this process: without MLflow, here and in the processes that run cells."""

from __future__ import annotations

import sys

import pytest

from tests.engine.projects import ROOT


@pytest.fixture(autouse=True)
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow be missing; the module that says so comes first in the path, which fresh processes take over."""
    monkeypatch.syspath_prepend(ROOT / "tests/absent")
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
