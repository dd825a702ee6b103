"""Read a YAML file as plain values that know their lines; whatever is not plain is refused by its line.

A file holds numbers and names, not objects: YAML 1.2's core schema (null, booleans, integers, floats, text), aliases and
merge keys. Tags, several documents and keys that are not text are refused, and so is what would take long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from slt_bench.common.errors import BenchError
from slt_bench.common.yaml.builder import Builder, Lines
from slt_bench.common.yaml.text import one_line, read_text

# The errors of the parser in Python: some are not its own, as for a version of YAML that does not exist.
_PARSER_ERRORS = (YAMLError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Document:
    """The value of a YAML file, with the line of every value in it."""

    path: Path
    value: Any
    lines: dict[int, Lines]  # by the identity of the dict or list that holds a value

    def line(self, holder: dict[str, Any] | list[Any], key: str | int) -> int:
        """Look up the line, from 1, of a value in a dict or list of this document."""
        return self.lines[id(holder)][key]


class _NotYaml(BenchError):
    """The parser understands the file up to some line only."""


def read_yaml(path: Path, pure: bool = False) -> Document:
    """Read the document in a YAML file.

    Args:
        path: of the file.
        pure: parse in Python even where libyaml is installed: slower, with the same result.

    Returns:
        The document; its value is None for an empty file.

    Raises:
        BenchError: one line that names the file, and the line and the key where there are any.
    """
    text = read_text(path)
    try:
        return _document(path, text, pure)
    except _NotYaml:
        if pure:
            raise
        return _document(path, text, pure=True)  # libyaml refuses some of what YAML 1.2 allows: {of: a:b}


def _document(path: Path, text: str, pure: bool) -> Document:
    builder = Builder(path)
    for event in _events(path, text, pure):
        builder.take(event)
    return Document(path, builder.root, builder.lines)


def _events(path: Path, text: str, pure: bool) -> Iterator[Any]:
    line = 1
    try:
        for event in YAML(typ="safe", pure=pure).parse(text):
            line = event.end_mark.line + 1
            yield event
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = one_line(error.problem or error.context or "it ends too early")
        raise _NotYaml(f"{path}:{mark.line + 1 if mark else line}: not valid YAML: {message}") from error
    except _PARSER_ERRORS as error:
        raise _NotYaml(f"{path}:{line}: not valid YAML from here on: {one_line(str(error))}") from error
