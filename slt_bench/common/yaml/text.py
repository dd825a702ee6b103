"""The text of a YAML file: its bytes, its scalars by YAML 1.2's core schema, and its form in a message."""

from __future__ import annotations

import re
from math import inf, isinf, nan
from pathlib import Path

from slt_bench.common.errors import BenchError

BYTES = 300_000  # that a file may have
DIGITS = 100  # that a number may have
Scalar = str | int | float | bool | None
# All but the characters that YAML prints, less those on which its versions disagree: breaks of lines beyond ASCII, and a byte
# order mark within the text.
_FORBIDDEN = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_OTHER_BASE = re.compile(r"0(o)[0-7]+|0(x)[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NULLS = ("", "~", "null", "Null", "NULL")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(NULLS),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), nan),
}
_NAME = re.compile(r"[\w.-]+")


def read_text(path: Path) -> str:
    """Read the text of a file of reasonable size, UTF-8 with or without a byte order mark.

    Raises:
        BenchError: one line that names the file, and the line of what is not text.
    """
    data = _read(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        message = f"not valid YAML: byte {error.object[error.start]:#04x} is not UTF-8: save the file in that encoding"
        raise BenchError(f"{path}:{line}: {message}") from error
    wrong = _FORBIDDEN.search(text)
    if wrong is not None:
        line = len(text[: wrong.start() + 1].splitlines())
        raise BenchError(f"{path}:{line}: not valid YAML: {_named(wrong[0])} may not stand in the file: take it out")
    return text


def _read(path: Path) -> bytes:
    try:
        if not path.exists():
            raise BenchError(f"{path} is missing: run the command in the root of the project")
        if not path.is_file():
            raise BenchError(f"{path} is a folder or a device: put a file there")
        with path.open("rb") as file:
            data = file.read(BYTES + 1)
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror}: see its permissions") from error
    if len(data) > BYTES:
        raise BenchError(f"{path} has more than {BYTES:,} bytes: shorten it")
    return data


def scalar(text: str) -> Scalar:
    """Convert a plain scalar to its value: null, a boolean, a number or text.

    Raises:
        ValueError: it is a number that is too long, too large or too small.
    """
    if text in _WORDS:
        return _WORDS[text]
    other = _OTHER_BASE.fullmatch(text)
    number = other or _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)
    if number is None:
        return text
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text):,} digits; {DIGITS} are the most (text needs quotes)")
    if other:
        return int(text[2:], 8 if other[1] else 16)
    if _INTEGER.fullmatch(text):
        return int(text)
    value = float(text)
    if isinf(value) or (value == 0 and text.lower().partition("e")[0].strip("+-0._")):
        raise ValueError(f"{one_line(text, 60)} is beyond what a number can be (text needs quotes)")
    return value


def check_text(text: str) -> str:
    """Check the text of a quoted scalar, and return it.

    Raises:
        ValueError: an escape has brought in a character that no text may hold.
    """
    wrong = _FORBIDDEN.search(text)
    if wrong is not None:
        raise ValueError(f"{_named(wrong[0])} may not stand in text: take the escape out")
    return text


def one_line(text: str, most: int = 300) -> str:
    """Make text part of a message: without its middle if it is long, and with escapes for control characters."""
    escaped = "".join(char if char.isprintable() else repr(char)[1:-1] for char in _without_middle(text, most))
    return _without_middle(escaped, most)


def shown(keys: tuple[str | int, ...]) -> str:
    """Name the place of a value in a message by the keys that lead to it: `tables.one.rows[2].sparsity`."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{_shown_key(key)}" for key in keys]
    return one_line("".join(parts).removeprefix("."), 150) or "top level"


def _shown_key(key: str) -> str:
    return one_line(key if _NAME.fullmatch(key) else repr(one_line(key, 60)), 60)


def _without_middle(text: str, most: int) -> str:
    half = most // 2 - 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def _named(character: str) -> str:
    return f"the character U+{ord(character):04X}"
