"""The one error that users are meant to see, and how a command ends with it."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from slt_bench.common.libraries import first_line, fix
from slt_bench.common.terminal import drop_what_cannot_be_written, flush_output, make_printable, printable

_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class BenchError(Exception):
    """Something that the user can fix. The message names the thing and the fix."""


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
    """Run a command; a BenchError, a missing library, an unusable file become one line and exit status 2, a stop its own."""
    make_printable()
    try:
        with preemptible():
            main()
            flush_output()
    except BaseException as error:
        outcome = _outcome(error)
        if outcome is None:
            raise
        status, last_words = outcome
        with suppress(OSError):  # there is nobody to hear it
            print(last_words, file=sys.stderr, end="\n" if last_words else "")
        sys.exit(status)
    finally:
        drop_what_cannot_be_written()


def _outcome(error: BaseException) -> tuple[int, str] | None:
    """Exit status and last words of a command that an error ends; None for a mistake in this package."""
    match error:
        case Interrupted():
            return error.status, f"\n{error}"
        case BenchError():
            return 2, f"error: {error}"
        case KeyboardInterrupt():
            return 130, "\nstopped"
        case BrokenPipeError():  # the reader of our output has gone (`slt-bench plan | head`)
            return 1, ""
        case ImportError():
            line = fix(error)
            return None if line is None else (2, f"error: {line}")
        case OSError():
            return 2, f"error: {_place(error)}: {error.strerror or first_line(error)}"
    return None


def _place(error: OSError) -> str:
    """The file that an error of the operating system is about."""
    if isinstance(error.filename, int):
        return f"file descriptor {error.filename}"
    if error.filename:
        return printable(os.fsdecode(error.filename))
    return "a file or the output" if error.errno in _WRITING else "the system"
