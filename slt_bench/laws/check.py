"""The check of a search against all laws, and the names by which a search is found."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_paths
from traceback import extract_tb
from typing import Any

from pydantic import ValidationError

from slt_bench.common.errors import BenchError
from slt_bench.common.plugins import imported
from slt_bench.params.searches import BUILT_IN, Search, search_class
from slt_bench.records.code_digest import PACKAGE

_NOT_ONES_OWN = [PACKAGE, *(Path(get_paths()[name]) for name in ("stdlib", "purelib", "platlib"))]


@dataclass(frozen=True)
class Verdict:
    """What a law found."""

    law: str
    holds: bool
    detail: str

    def __str__(self) -> str:
        """Write the verdict as a line."""
        return f"{'✓' if self.holds else '✗'} {self.law:<12} {self.detail}"


def find_searches(name: str, parameters: dict[str, Any]) -> list[Search]:
    """Find the searches that a name stands for.

    Args:
        name: a Python file, all of whose searches are meant, or a `kind` of params.yaml: one of ours, or `module:Class`.
        parameters: of the search, without its kind.

    Raises:
        BenchError: there are none, or the parameters do not fit.
    """
    if "kind" in parameters:
        raise BenchError("the kind of a search is the argument itself: check-search KIND --with KEY=VALUE")
    if Path(f"{name}.py").is_file() and name not in BUILT_IN:
        raise BenchError(f"'{name}' is no kind of search, and {name}.py is a file: check-search {name}.py")
    try:
        kinds = list(_kinds_in(Path(name))) if name.endswith(".py") else [name]
        searches = [search_class(kind).model_validate({"kind": kind, **parameters}) for kind in kinds]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        fields = [field for field in search_class(kinds[0]).model_fields if field != "kind"]
        wrong = "there is no such parameter" if first["type"] == "extra_forbidden" else first["msg"]
        raise BenchError(
            f"{name}: {f'{where}: ' if where else ''}{wrong}; parameters are {', '.join(fields) or 'none'}: --with KEY=VALUE"
        ) from error
    except ValueError as error:
        raise BenchError(str(error)) from error
    if not searches:
        raise BenchError(f"{name} defines no search: a subclass of slt_bench's Search with its algorithm is needed")
    return searches


def _kinds_in(file: Path) -> Iterator[str]:
    """Import a Python file and name the searches that it defines."""
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    path = file.resolve().with_suffix("")
    inside = path.is_relative_to(Path.cwd())
    module = ".".join(path.relative_to(Path.cwd()).parts) if inside else path.name
    if not inside:
        sys.path.append(str(path.parent))
    for name, thing in vars(imported(module, str(file))).items():
        own = isinstance(thing, type) and issubclass(thing, Search) and thing.__module__ == module
        if own and hasattr(thing, "algorithm"):
            yield f"{module}:{name}"


def _where(error: Exception) -> str:
    """Say in which line of somebody's own file an error was raised, or what of it called what raised it."""
    for frame in reversed(extract_tb(error.__traceback__)):
        if not any(Path(frame.filename).is_relative_to(root) for root in _NOT_ONES_OWN):
            return f" ({frame.filename}:{frame.lineno}: {frame.line})"
    return ""


def check_search(search: Search, device: str = "cpu") -> Iterator[Verdict]:
    """Try all laws on a search, one after another; a law that fails or raises is told, and the next one is tried.

    Args:
        search: the declaration.
        device: where its toy networks live.

    Yields:
        A verdict for each law.

    Raises:
        BenchError: there is no such device.
    """
    import torch

    from slt_bench.compute.precision import reproducible
    from slt_bench.laws.broken import Broken
    from slt_bench.laws.laws import LAWS

    if device == "cuda" and not torch.cuda.is_available():
        raise BenchError("there is no CUDA device that torch can use; try the laws on a CPU, without --device")
    for law in LAWS:
        begun = time.perf_counter()
        try:
            with reproducible():
                detail, holds = law(search, device), True
        except Broken as broken:
            detail, holds = str(broken), False
        except Exception as error:  # whatever a foreign search does
            detail, holds = f"{type(error).__name__}: {error}{_where(error)}", False
        yield Verdict(law.__name__, holds, f"{detail} ({time.perf_counter() - begun:.1f} s)" if holds else detail)
