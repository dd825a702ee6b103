"""What is printed can be printed on any terminal: what its encoding lacks is replaced by something readable."""

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
    """An error handler as `codecs` asks for; also a file name's bytes that are no text become `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_STAND_INS.get(char, "?") for char in error.object[error.start : error.end]), error.end


codecs.register_error(_HANDLER, _stand_in)


def printable(text: str) -> str:
    """The text, or its Python form where it holds line breaks or control characters."""
    return text if text.isprintable() else repr(text)


def make_printable() -> None:
    """Let standard output and error stand in for what they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def flush_output() -> None:
    """Write what is still to be written to standard output.

    Raises:
        OSError: naming it.
    """
    try:
        if sys.stdout is not None:  # as it is for a process that was started without one
            sys.stdout.flush()
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise


def drop_what_cannot_be_written() -> None:
    """Else the interpreter stumbles over it as it ends, with an exit status of its own."""
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
