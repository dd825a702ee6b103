"""One process of searches on a device, each on a stream of its own: prints the steps a second of all over some seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from benchmarks.gpu.timing import ON_GPU, as_in_a_search, wait
from benchmarks.steps import Case, search_step

SECONDS = 4.0


def main() -> None:
    """Take the number of searches, and `small` for a trial."""
    count, small = int(sys.argv[1]), sys.argv[2:] == ["small"]
    case = Case("conv2", 4, width=0.125) if small else Case("resnet18", 128, precision="bfloat16", width=0.25)
    with as_in_a_search(case.precision):
        searches = [_on_a_stream(search_step(case, graphs=True)[0]) for _ in range(count)]
        for _ in range(10):
            for step in searches:
                step()
        wait()
        rounds, started = 0, time.perf_counter()
        while time.perf_counter() - started < (0.1 if small else SECONDS):
            for step in searches:
                step()
            rounds += 1
        wait()
        print(count * rounds / (time.perf_counter() - started))


def _on_a_stream(step: Callable[[], None]) -> Callable[[], None]:
    """A search's step on a stream that no other search has."""
    stream = torch.cuda.Stream() if ON_GPU else None

    def on_stream() -> None:
        with torch.cuda.stream(stream) if stream is not None else nullcontext():
            step()

    return on_stream


if __name__ == "__main__":
    main()
