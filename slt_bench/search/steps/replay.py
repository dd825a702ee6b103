"""Steps on a GPU as one CUDA graph: recorded once, a step costs the host one launch in place of hundreds.

A graph launches the same kernels on the same memory, so that its results are those of the steps one by one, bit for bit.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from slt_bench.search.steps.step import Step

_STEPS_BEFORE = 3  # a recording, since libraries reserve memory and choose kernels in their first calls
_AHEAD = 2  # steps that the host may be ahead of the device, so that waiting for images is seen as such


class Replay:
    """The steps of a search on a GPU: the first few of each phase one by one, the others as a CUDA graph."""

    def __init__(self, step: Step, graphs: bool = True) -> None:
        """Record nothing yet.

        Args:
            step: what is done with each batch.
            graphs: whether steps are recorded at all.
        """
        self.step, self.graphs = step, graphs
        self.phase, self.done = -1, 0  # steps of the phase that were done one by one
        self.graph: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream()
        self._under_way: deque[torch.cuda.Event] = deque()

    def __call__(self, images: Tensor, labels: Tensor, phase: int, number: int, rate: float) -> None:
        """Do a step; arguments as those of `Step`."""
        if phase != self.phase:  # other numbers of edges are kept
            self.phase, self.done, self.graph = phase, 0, None
            torch.cuda.empty_cache()  # of the graph before
        self.step.set_rate(rate)
        if self.graph is None and self.graphs and self.done >= _STEPS_BEFORE:
            self._record(images, labels, number, rate)
        if self.graph is None:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                self.step(images, labels, phase, number, rate)
            torch.cuda.current_stream().wait_stream(self._stream)
            self.done += 1
        else:
            self._images.copy_(images)
            self._labels.copy_(labels)
            self.graph.replay()
        self._stay_near()

    def _record(self, images: Tensor, labels: Tensor, number: int, rate: float) -> None:
        """Record the step as a graph; nothing is computed by that."""
        torch.cuda.synchronize()
        torch.cuda.empty_cache()  # the graph has memory of its own
        self._images, self._labels = torch.empty_like(images), torch.empty_like(labels)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": else a thread of the loader that pins memory meanwhile breaks the recording.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self.step(self._images, self._labels, self.phase, number, rate)
        self.graph = graph

    def _stay_near(self) -> None:
        """Wait where the host is too many steps ahead."""
        event = torch.cuda.Event(blocking=True)
        event.record()
        self._under_way.append(event)
        if len(self._under_way) > _AHEAD:
            self._under_way.popleft().synchronize()
