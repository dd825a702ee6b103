"""The note that a search waits for images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slt_bench.search import waiting
from slt_bench.search.run import search
from slt_bench.search.waiting import Waiting
from tests.search.test_search import MakeCell


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until somebody moves it."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


@pytest.mark.parametrize(("waits", "works", "says"), [(3.0, 1.0, True), (0.1, 1.0, False)])
def test_it_is_said_once_and_only_where_it_waits(
    clock: list[float], capsys: pytest.CaptureFixture[str], waits: float, works: float, says: bool
) -> None:
    def batches() -> Iterator[int]:
        for number in range(100):
            clock[0] += waits
            yield number

    watch = Waiting(workers=2)
    for _ in range(2):
        for _ in watch.watch(batches()):
            clock[0] += works
    told = capsys.readouterr().out
    assert told.count("the search waits for images") == says
    if says:
        assert "0.2 batches a second come, 1.0 could be used; more `workers` (now 2) may help" in told


def test_a_search_that_begins_to_wait_later_says_so_too(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """A neighbour that takes the cores may come at any time."""

    def batches() -> Iterator[int]:
        for number in range(1000):
            clock[0] += 0.1 if number < 900 else 2
            yield number

    for number in Waiting(workers=2).watch(batches()):
        clock[0] += 1
        assert number >= 900 or not capsys.readouterr().out
    assert "0.5 batches a second come, 1.0 could be used" in capsys.readouterr().out  # of a span that has both


def test_a_search_is_watched(
    project: Path, make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "_SPAN", 0.0)
    monkeypatch.setattr(waiting, "_SHARE", 0.0)
    search(make_cell(recipe={"epochs": 1}))
    assert capsys.readouterr().out.count("note: the search waits for images") == 1


def test_nothing_is_said_of_a_short_search(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    def batches() -> Iterator[int]:
        for number in range(5):
            clock[0] += 3
            yield number

    assert list(Waiting(1).watch(batches())) == [0, 1, 2, 3, 4]
    assert not capsys.readouterr().out
