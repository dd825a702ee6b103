"""What every fuzzer needs: how many examples, a time limit for each, and the only error that users are meant to see.

`make test` tries a few examples of each; `make fuzz` (SLT_BENCH_FUZZ=1000) is the campaign.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from hypothesis import HealthCheck, settings

from slt_bench.common.errors import BenchError

EXAMPLES = int(os.environ.get("SLT_BENCH_FUZZ", "25"))
T = TypeVar("T")

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,  # `within` limits each attempt instead: it also ends one that hangs
    derandomize="SLT_BENCH_FUZZ" not in os.environ,  # `make test` tries the same examples every time
    suppress_health_check=list(HealthCheck),
)


class Hangs(Exception):
    """An attempt that takes longer than it may."""


@contextmanager
def within(seconds: float = 5.0) -> Iterator[None]:
    """Raise `Hangs` in the block once the seconds are over, and after it where nobody heard that, as in a `__del__`."""
    rung = []

    def ring(number: int, frame: FrameType | None) -> None:
        rung.append(f"still busy after {seconds} s")
        raise Hangs(rung[0])

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if rung:
            raise Hangs(rung[0])


def attempt(work: Callable[[], T], seconds: float = 5.0) -> T | None:
    """What the work gives, or None where it is refused; a refusal is one clear message. Anything else is a failure."""
    try:
        with within(seconds):
            return work()
    except BenchError as error:
        message = str(error)
        assert message and "Traceback" not in message and " object at 0x" not in message, message
        return None
