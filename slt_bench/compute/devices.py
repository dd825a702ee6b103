"""The devices of this machine, found without loading any library: a process that only starts others needs none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from slt_bench.common.errors import BenchError

_WSL = Path("/dev/dxg")  # Windows' subsystem for Linux has CUDA devices without files


def visible_devices() -> list[str]:
    """List the CUDA devices that a search may use: those that CUDA_VISIBLE_DEVICES names, or all that the machine has."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device.strip() for device in named.split(",") if device.strip() and device.strip() != "-1"]
    nodes = list(Path("/dev").glob("nvidia[0-9]*"))
    return [str(number) for number in range(len(nodes))]  # CUDA counts from 0, also in a container that has nvidia3 alone


def check_devices(devices: Sequence[str]) -> None:
    """Check that there are devices of the numbers that a user names; names (GPU-..., MIG-...) are left to CUDA.

    Raises:
        BenchError: there is none of that number: CUDA would say nothing, and the CPU search.
    """
    here = visible_devices()
    if not here and _WSL.exists():
        return
    for device in devices:
        if device.isdecimal() and device not in here:
            raise BenchError(f"there is no CUDA device {device}; this machine has {', '.join(here) or 'none'}")


def cells_at_a_time(devices: Sequence[str]) -> int:
    """Count the cells that run at a time where nobody says so: one a device, or one a core where there is no device."""
    return len(devices) or (1 if _WSL.exists() else cores())


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
