"""One of several searches on a device: prints its steps a second over some seconds."""

from __future__ import annotations

import sys
import time

from benchmarks.gpu.timing import as_in_a_search, wait
from benchmarks.steps import Case, search_step

SECONDS = 5.0


def main() -> None:
    small = sys.argv[1:] == ["small"]
    case = Case("conv2", 4, width=0.125) if small else Case("resnet18", 128, precision="bfloat16", width=0.25)
    with as_in_a_search(case.precision):
        step, _ = search_step(case, graphs=True)
        for _ in range(10):
            step()
        wait()
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < (0.1 if small else SECONDS):
            step()
            steps += 1
        wait()
        print(steps / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
