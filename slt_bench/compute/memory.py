"""Settings of a process that computes: freed memory is kept for the next step, and threads that wait sleep."""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8  # malloc.h of glibc


def prepare_to_compute() -> None:
    """Set this process up, and the processes that it starts; to be called before torch is imported."""
    keep_freed_memory()
    sleep_while_waiting()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for equal bits each time (CUDA's cuBLAS, "Reproducibility")


def sleep_while_waiting() -> None:
    """Let threads that wait for each other sleep, unless OMP_WAIT_POLICY says otherwise.

    By default they spin for a while, which costs nothing on an idle machine and many times the step on a busy one
    (docs/performance.md). Nothing that is computed changes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to reuse memory; to be called before torch is imported.

    By default every large tensor is a fresh mapping that the kernel fills with zeros page by page, and that is unmapped
    as the tensor dies: a fifth of a step on two cores (docs/performance.md). Nothing that is computed changes.

    Returns:
        Whether malloc took the settings; False where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 64 << 20))
    return all(bool(mallopt(name, value)) for name, value in settings)
