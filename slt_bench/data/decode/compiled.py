"""How the inner loops are compiled: by numba, once for all processes, without Python's lock."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TypeVar

import numba
from numba.core import config

F = TypeVar("F", bound=Callable[..., Any])


def _cache_directory() -> str:
    """One for each version of the loops: numba compiles a function anew when its own file changes, not when one that it
    calls does."""
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path(gettempdir())
    base = os.environ.get("NUMBA_CACHE_DIR", str(home / ".cache" / "slt-bench" / "numba"))
    content = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    return str(Path(base) / hashlib.sha256(content).hexdigest()[:12])


# Not in the environment: another process finds its own.
config.CACHE_DIR = _cache_directory()  # type: ignore[attr-defined]


def compiled(function: F) -> F:
    """`function` compiled at its first call, or loaded as another process compiled it."""
    made: Any = numba.njit(nogil=True, cache=True)(function)
    return made
