"""The compilation of inner loops by numba: once for all processes, and running without Python's lock."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TypeVar

import numba
from numba.core import config

F = TypeVar("F", bound=Callable[..., Any])


def cache_directory(folder: Path) -> str:
    """Return the directory of numba's cache for this version of the loops in a folder.

    Numba compiles a function anew when the function's own file changes, but not when a file changes whose functions it calls.
    """
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path(gettempdir())
    base = os.environ.get("NUMBA_CACHE_DIR", str(home / ".cache" / "slt-bench" / "numba"))
    return str(Path(base) / _version(folder))


@cache
def _version(folder: Path) -> str:
    """Compute a digest of all Python files in a folder, once for all of its loops."""
    content = b"".join(file.read_bytes() for file in sorted(folder.glob("*.py")))
    return hashlib.sha256(content).hexdigest()[:12]


def compiled(function: F) -> F:
    """Decorate a function to be compiled at its first call, or loaded as another process compiled it."""
    # Set here, not in the environment, which other processes inherit: each finds the directory by itself.
    config.CACHE_DIR = cache_directory(Path(function.__code__.co_filename).parent)  # type: ignore[attr-defined]
    dispatcher: Any = numba.njit(nogil=True, cache=True)(function)
    return dispatcher
