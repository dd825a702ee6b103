"""Batches go to a device one ahead, and nobody uses one before it has come: with a device that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from slt_bench.data import upload as module
from slt_bench.data.upload import upload

CPU = torch.device("cpu")


class Cuda:
    """Stands for `torch.cuda`: writes down what is asked for."""

    def __init__(self, told: list[str]) -> None:
        self.told, self.copies = told, 0
        cuda = self

        class Event:
            def record(self) -> None:
                self.number = cuda.copies
                cuda.copies += 1
                told.append(f"copy {self.number}")

        self.Event = Event

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        self.told.append("beside")
        yield
        self.told.append("back")

    def current_stream(self) -> Any:
        return self

    def wait_event(self, event: Any) -> None:
        self.told.append(f"wait for {event.number}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(torch, "cuda", Cuda(told))
    monkeypatch.setattr(module, "_stream", lambda _: "copies")
    monkeypatch.setattr(Tensor, "record_stream", lambda self, _: told.append(f"keep {int(self[0])}"))
    return told


def batches(count: int, told: list[str]) -> Iterator[tuple[Tensor, Tensor]]:
    for number in range(count):
        told.append(f"batch {number}")
        yield torch.tensor([number]), torch.tensor([10 + number])


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_all_come_in_order(count: int, told: list[str]) -> None:
    found = [(int(images), int(labels)) for images, labels in upload(batches(count, told), CPU)]
    assert found == [(number, 10 + number) for number in range(count)]


def test_the_next_is_on_its_way_before_one_is_used(told: list[str]) -> None:
    for images, _ in upload(batches(3, told), CPU):
        told.append(f"use {int(images)}")
    copied = [event for event in told if event.split()[0] in ("copy", "use")]
    assert copied == ["copy 0", "copy 1", "use 0", "copy 2", "use 1", "use 2"]


def test_none_is_used_before_it_has_come_nor_is_its_memory_given_away(told: list[str]) -> None:
    for images, _ in upload(batches(3, told), CPU):
        number = int(images)
        assert told[-3:] == [f"wait for {number}", f"keep {number}", f"keep {10 + number}"]
    assert told.count("beside") == told.count("back") == 3, "copies have a stream of their own"
