"""The one error that users are meant to see, and how a command ends with any error: in one line and an exit status."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from slt_bench.common.libraries import first_line, fix
from slt_bench.common.terminal import discard_unwritable_output, flush_output, make_printable, printable

_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class BenchError(Exception):
    """Something that the user can fix. The message names the thing and the fix."""


class Interrupted(BenchError):
    """Work was stopped by Ctrl-C, and goes on when the command is run again."""

    status = 130


class Preempted(Interrupted):
    """Work was stopped by SIGTERM, as schedulers do it; exit status 75 (EX_TEMPFAIL) tells them to run it again."""

    status = 75


@contextmanager
def preemptible() -> Iterator[None]:
    """Let SIGTERM end the block with `Preempted`, so that half-written files are removed; a search saves its state first."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Preempted("stopped; nothing is lost, and the same command goes on")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_command(main: Callable[[], None]) -> None:
    """Run a command; a BenchError, a missing library or an unusable file ends it with one line and exit status 2.

    A stop has an exit status of its own. A mistake in this package keeps its traceback.

    Args:
        main: the command.

    Raises:
        SystemExit: with the exit status, after an error.
    """
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
        with suppress(OSError):  # standard error may be closed
            print(last_words, file=sys.stderr, end="\n" if last_words else "")
        sys.exit(status)
    finally:
        discard_unwritable_output()


def _outcome(error: BaseException) -> tuple[int, str] | None:
    """Give exit status and last words of a command that an error ends; None for a mistake in this package."""
    match error:
        case Interrupted():
            return error.status, f"\n{error}"
        case BenchError():
            return 2, f"error: {error}"
        case KeyboardInterrupt():
            return 130, "\nstopped"
        case BrokenPipeError():  # the reader of the output has gone (`slt-bench plan | head`)
            return 1, ""
        case ImportError():
            line = fix(error)
            return None if line is None else (2, f"error: {line}")
        case OSError():
            return 2, f"error: {_subject(error)}: {error.strerror or first_line(error)}"
    return None


def _subject(error: OSError) -> str:
    """Name the file that an error of the operating system is about."""
    if isinstance(error.filename, int):
        return f"file descriptor {error.filename}"
    if error.filename:
        return printable(os.fsdecode(error.filename))
    return "a file or the output" if error.errno in _WRITING else "the system"
