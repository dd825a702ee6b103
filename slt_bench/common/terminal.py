"""Output that any terminal can show: a sign that its encoding lacks is replaced by a readable one."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

_STAND_INS = {
    "±": "+-", "–": "-", "—": "-", "−": "-", "×": "x", "·": ".", "✓": "ok", "✗": "!!", "†": "*", "→": "->", "≥": ">=",
    "≤": "<=", "…": "...", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
_HANDLER = "slt_bench.stand_ins"


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """Handle an encoding error as `codecs` wants it; bytes of a file name that are no text become `?` too."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_STAND_INS.get(char, "?") for char in error.object[error.start : error.end]), error.end


codecs.register_error(_HANDLER, _stand_in)


def printable(text: str) -> str:
    """Give the text, or its Python form where it holds line breaks or control characters."""
    return text if text.isprintable() else repr(text)


def make_printable() -> None:
    """Let standard output and error print a readable sign in place of one that they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def flush_output() -> None:
    """Write out the buffer of standard output.

    Raises:
        OSError: with `standard output` as its file name.
    """
    try:
        if sys.stdout is not None:  # as it is for a process that was started without one
            sys.stdout.flush()
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise


def discard_unwritable_output() -> None:
    """Discard buffered output that cannot be written: the interpreter would end with an error and a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            _discard(stream)


def _discard(stream: TextIO) -> None:
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
