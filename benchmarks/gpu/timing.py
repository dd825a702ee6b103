"""Time on a device that works by itself: by its own clock, and what the host needs to ask for the work."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import torch

from benchmarks.steps import DEVICE
from slt_bench.compute.precision import reproducible

ON_GPU = DEVICE == "cuda"


def wait() -> None:
    """Until the device has done all that it was asked for."""
    if ON_GPU:
        torch.cuda.synchronize()


def clock() -> Callable[[], float]:
    """Start a clock; what is returned gives the milliseconds until the device has done all that it was asked for since."""
    if not ON_GPU:
        started = time.perf_counter()
        return lambda: 1e3 * (time.perf_counter() - started)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()

    def passed() -> float:
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last))

    return passed


def milliseconds(work: Callable[[], object], rounds: int, warm_up: int = 5) -> float:
    """The median time of some work, each waited for."""
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(rounds):
        wait()
        passed = clock()
        work()
        times.append(passed())
    return median(times)


def milliseconds_a_row(work: Callable[[], object], rounds: int, warm_up: int = 5) -> float:
    """The time of some work that is done many times in a row, without waiting in between: what a search sees."""
    for _ in range(warm_up):
        work()
    wait()
    passed = clock()
    for _ in range(rounds):
        work()
    return passed() / rounds


def host_milliseconds(work: Callable[[], object], rounds: int) -> float:
    """The time that the host needs to ask for some work, while the device is idle before."""
    times = []
    for _ in range(rounds):
        wait()
        started = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - started))
    wait()
    return median(times)


def host_waits(work: Callable[[], object]) -> int:
    """How often the host waits for the device in some work, as far as torch notices."""
    work()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")  # which warns too, that it does not notice all
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(warning.message) for warning in caught)


def forget() -> None:
    """Give memory that nothing uses any more back to the device."""
    gc.collect()
    if ON_GPU:
        torch.cuda.empty_cache()


@contextmanager
def as_in_a_search(precision: str, deterministic: bool = True) -> Iterator[None]:
    """Number format and kernels as in a search of this precision, or with kernels that need not give equal bits."""
    with reproducible(precision == "tf32"):
        if ON_GPU and not deterministic:
            torch.use_deterministic_algorithms(False)
            torch.backends.cudnn.deterministic = False
        yield


def recorded(work: Callable[[], object]) -> Callable[[], object]:
    """Some work as a CUDA graph; as it is on a CPU."""
    if not ON_GPU:
        return work
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        work()
    return graph.replay
