"""The one error that users are meant to see, and how a command ends with it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class BenchError(Exception):
    """Something that the user can mend. The message names the thing and the mend."""


class Interrupted(BenchError):
    """Work was stopped by Ctrl-C; the same command goes on."""

    status = 130


class Preempted(Interrupted):
    """Work was stopped by SIGTERM, as schedulers do it; exit status 75 (EX_TEMPFAIL) says: run me again."""

    status = 75


@contextmanager
def preemptible() -> Iterator[None]:
    """SIGTERM ends the block with `Preempted`, so that what is half written is removed; a search saves its state first."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Preempted("stopped; nothing is lost, and the same command goes on")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_command(main: Callable[[], None]) -> None:
    """Run a command; a BenchError becomes its message and exit status 2, a stop its own."""
    try:
        with preemptible():
            main()
    except Interrupted as stop:
        print(f"\n{stop}", file=sys.stderr)
        sys.exit(stop.status)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone (`slt-bench plan | head`)
        sys.stderr.close()
        sys.exit(1)
