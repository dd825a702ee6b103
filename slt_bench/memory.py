"""Memory of a process that computes: freed memory is kept for the next step, not given back to the system."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to reuse memory; to be called before torch is imported. False where there is no glibc.

    By default every large tensor is a fresh mapping that the kernel fills with zeros page by page, and that is unmapped
    as the tensor dies: a fifth of a step on two cores (docs/performance.md). Nothing that is computed changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 64 << 20))
    return all(bool(mallopt(name, value)) for name, value in settings)
