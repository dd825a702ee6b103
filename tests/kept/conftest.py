"""A project with a table whose cells only seem to have run."""

from __future__ import annotations

from pathlib import Path

import pytest

from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.kept import archive
from tests.report.conftest import figures_where_they_are_looked_at as figures_where_they_are_looked_at  # a fixture
from tests.report.test_claims import CLAIMS, TEXT


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(archive, "keep_tickets", lambda *_: [])  # nothing was searched: see tests/run/test_verify.py
    Path("params.yaml").write_text(TEXT + CLAIMS)
    return load_experiments(Path("params.yaml"))
