"""Plug-ins: a name without a colon is one of ours, `module:name` is anybody's, from the project's directory or installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from slt_bench.common.errors import BenchError
from slt_bench.common.text import did_you_mean


def is_plugin(name: str) -> bool:
    """Whether a name in params.yaml is an import path, and no name of ours."""
    return ":" in name


def resolve(name: str, built_in: Mapping[str, str]) -> Any:
    """Import what a name in params.yaml stands for.

    Args:
        name: a key of `built_in`, or an import path `module:name`.
        built_in: import paths of ours, by their names.

    Returns:
        The class or function.

    Raises:
        ValueError: the name is none of ours, or what it names cannot be imported; the reason is told.
    """
    path = built_in.get(name, name)
    module, colon, attribute = path.partition(":")
    if not colon:
        raise ValueError(
            f"'{name}' is none of {', '.join(built_in)}; one of your own is named by its import path, module:name"
            f"{did_you_mean(name, built_in)}"
        )
    if not all(part.isidentifier() for part in module.split(".")) or not attribute.isidentifier():
        raise ValueError(f"'{name}' is no import path: write module:name, such as my_lab.searches:Gates")
    found = vars(imported(module, f"'{name}'"))
    if attribute not in found:
        names = [entry for entry in found if not entry.startswith("_")]
        raise ValueError(f"'{name}': the module {module} has no {attribute}{did_you_mean(attribute, names)}")
    return found[attribute]


def check_name(name: str, ours: Sequence[str], what: str) -> str:
    """Check that a name is one of ours, or a function that can be imported, and return it.

    Args:
        name: as params.yaml has it.
        ours: the names of ours.
        what: a name stands for, as messages call it.

    Raises:
        ValueError: it is neither.
    """
    if is_plugin(name):
        if not callable(resolve(name, {})):
            raise ValueError(f"'{name}' is no {what}: a function is needed")
    elif name not in ours:
        listed = "', '".join(ours[:-1])
        raise ValueError(f"must be '{listed}' or '{ours[-1]}', or module:name of your own{did_you_mean(name, ours)}")
    return name


def imported(module: str, what: str) -> ModuleType:
    """Import a module, from the project's directory or installed.

    Args:
        module: its name.
        what: is imported, as messages call it.

    Raises:
        ValueError: it cannot be imported; the reason is told.
    """
    look_in_project()
    try:
        return import_module(module)
    except Exception as error:  # whatever a foreign module does while it is imported
        raise ValueError(f"{what} cannot be imported: {type(error).__name__}: {error}") from error


def import_plugin(module: str) -> None:
    """Import the module of a plug-in, for a user who named it.

    Raises:
        BenchError: it cannot be imported.
    """
    try:
        imported(module, f"the plug-in {module}")
    except ValueError as error:
        raise BenchError(str(error)) from error


def look_in_project() -> None:
    """Let modules be imported from the working directory too, after all others."""
    directory = str(Path.cwd())
    if directory not in sys.path and "" not in sys.path:
        sys.path.append(directory)
