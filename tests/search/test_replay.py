"""Steps as a CUDA graph, with a graph that is not there: what is recorded when, and what a recorded step is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from slt_bench.search.steps.replay import Replay


class Cuda:
    """Stands for `torch.cuda`: a graph takes down what a step was given while it was recorded, and gives it out again."""

    def __init__(self) -> None:
        self.recording: list[Any] | None = None
        self.modes: list[str] = []
        self.waited = 0
        cuda = self

        class CUDAGraph:
            def __init__(self) -> None:
                self.work: list[Any] = []

            def replay(self) -> None:
                assert cuda.recording is None
                for step, given in self.work:
                    step.do(*given)

        class Event:
            def __init__(self, blocking: bool) -> None:
                assert blocking

            def record(self) -> None: ...

            def synchronize(self) -> None:
                cuda.waited += 1

        stream = SimpleNamespace(wait_stream=lambda _: None)
        self.CUDAGraph, self.Event = CUDAGraph, Event
        self.Stream = self.current_stream = lambda: stream
        self.synchronize = self.empty_cache = lambda: None

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        yield

    @contextmanager
    def graph(self, graph: Any, stream: Any, capture_error_mode: str) -> Iterator[None]:
        self.modes.append(capture_error_mode)
        self.recording = graph.work
        yield
        self.recording = None


class Adding:
    """A step that adds its images up, as often as it is really done."""

    def __init__(self, cuda: Cuda) -> None:
        self.cuda, self.sum, self.rate, self.phases = cuda, torch.zeros(()), torch.zeros(()), list[int]()

    def set_rate(self, rate: float) -> None:
        self.rate.fill_(rate)

    def __call__(self, images: Tensor, labels: Tensor, phase: int, number: int, rate: float) -> None:
        if self.cuda.recording is not None:
            self.cuda.recording.append((self, (images, labels, phase)))
        else:
            self.do(images, labels, phase)

    def do(self, images: Tensor, labels: Tensor, phase: int) -> None:
        self.sum += self.rate * (images.sum() + labels.sum())
        self.phases.append(phase)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    cuda = Cuda()
    monkeypatch.setattr(torch, "cuda", cuda)
    return cuda


def run(cuda: Cuda, graphs: bool, phases: list[int]) -> tuple[Adding, Replay]:
    step = Adding(cuda)
    do = Replay(step, graphs)  # type: ignore[arg-type]
    for number, phase in enumerate(phases):
        do(torch.full((2,), float(number)), torch.tensor([number]), phase, number + 1, rate=0.5 + number)
    return step, do


@pytest.mark.parametrize("phases", [[0] * 2, [0] * 9, [0] * 5 + [1] * 7, [0, 1, 2], [2] * 4 + [0] * 5])
def test_recorded_steps_do_what_steps_one_by_one_do(cuda: Cuda, phases: list[int]) -> None:
    """Each is given its own images, labels and rate."""
    recorded, _ = run(cuda, True, phases)
    plain, _ = run(cuda, False, phases)
    assert torch.equal(recorded.sum, plain.sum) and recorded.phases == plain.phases == phases
    assert float(plain.sum) == sum((0.5 + number) * 3 * number for number in range(len(phases)))


@pytest.mark.parametrize(
    ("phases", "recordings"), [([0] * 3, 0), ([0] * 4, 1), ([0] * 20, 1), ([0] * 9 + [1] * 9, 2), ([0, 1] * 9, 0)]
)
def test_the_first_steps_of_each_phase_are_done_one_by_one(cuda: Cuda, phases: list[int], recordings: int) -> None:
    run(cuda, True, phases)
    assert cuda.modes == ["thread_local"] * recordings, "a loader's thread may pin memory meanwhile"


def test_without_graphs_nothing_is_recorded(cuda: Cuda) -> None:
    _, do = run(cuda, False, [0] * 9)
    assert not cuda.modes and do.graph is None


def test_the_host_is_two_steps_ahead_at_most(cuda: Cuda) -> None:
    run(cuda, True, [0] * 9)
    assert cuda.waited == 9 - 2
