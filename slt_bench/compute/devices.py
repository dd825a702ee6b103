"""The devices of this machine, found without loading any library: a process that only starts others needs none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def visible_devices() -> list[str]:
    """List the CUDA devices that a search may use: those that CUDA_VISIBLE_DEVICES names, or all that the machine has."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device.strip() for device in named.split(",") if device.strip() and device.strip() != "-1"]
    nodes = sorted(Path("/dev").glob("nvidia[0-9]*"), key=lambda path: int(path.name.removeprefix("nvidia")))
    return [path.name.removeprefix("nvidia") for path in nodes]


def cells_at_a_time(devices: Sequence[str]) -> int:
    """Count the cells that run at a time where nobody says so: one a device, or one a core where there is no device."""
    return len(devices) or cores()


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
