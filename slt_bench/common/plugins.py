"""Plug-ins: a name without a colon is one of ours, `module:name` is anybody's, from the project's directory or installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
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
            f"'{name}' is none of {', '.join(built_in)}{did_you_mean(name, built_in)}; "
            "one of your own is named by its import path, module:name"
        )
    if not all(part.isidentifier() for part in module.split(".")) or not attribute.isidentifier():
        raise ValueError(f"'{name}' is no import path: write module:name, such as my_lab.searches:Gates")
    look_in_project()
    try:
        return getattr(import_module(module), attribute)
    except AttributeError:
        names = [entry for entry in vars(sys.modules[module]) if not entry.startswith("_")] if module in sys.modules else []
        raise ValueError(f"'{name}': the module {module} has no {attribute}{did_you_mean(attribute, names)}") from None
    except Exception as error:  # whatever a foreign module does while it is imported
        raise ValueError(f"'{name}' cannot be imported: {type(error).__name__}: {error}") from error


def import_plugin(module: str) -> None:
    """Import a module, from the project's directory or installed.

    Raises:
        BenchError: it cannot be imported.
    """
    look_in_project()
    try:
        import_module(module)
    except Exception as error:  # whatever a foreign module does while it is imported
        raise BenchError(f"the plug-in {module} cannot be imported: {type(error).__name__}: {error}") from error


def look_in_project() -> None:
    """Let modules be imported from the working directory too, after all others."""
    directory = str(Path.cwd())
    if directory not in sys.path and "" not in sys.path:
        sys.path.append(directory)
