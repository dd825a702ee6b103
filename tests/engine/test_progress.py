"""A log says what runs, although nothing ends for long."""

from __future__ import annotations

import time

import pytest

from slt_bench.engine.progress import Progress


def test_a_log_is_told_what_runs_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Progress(7, 1) as told:
        told.begin("one", "")
        told.begin("two", "far")
        for moment in (300.0, 599.0, 601.0, 900.0, 1202.0):
            now = moment
            told.refresh()
        told.end("two")
        now = 1300.0
        told.tell("two  test 78.56 %", 1300.0)
        now = 1850.0
        told.refresh()
        told.end("one")
        now = 9000.0
        told.refresh()
    running = "[1/7] 2 running: one, two on far"
    assert capsys.readouterr().out.splitlines() == [running, running, "[2/7] two  test 78.56 %  22 min, 1.8 h left"]
