"""Runs in this process: without MLflow, here and in the processes that run cells."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.engine.projects import ROOT, STARTED


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """End what a test has started and, as it failed, not ended."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(autouse=True)
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow be missing; the module that says so comes first in the path, which fresh processes take over."""
    monkeypatch.syspath_prepend(ROOT / "tests/absent")
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
