"""The provenance of a result: code, libraries and machine."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from slt_bench.common.files import sha256
from slt_bench.compute.devices import cores, visible_devices
from slt_bench.records.code_digest import PACKAGE

_LIBRARIES = ("torch", "torchvision", "ffcv", "numpy", "numba")


def parent_digest(directory: Path | None) -> str:
    """Return the digest of a parent's ticket.

    Args:
        directory: the parent's; None if there is no parent.

    Returns:
        Twelve hex digits; `missing` if the parent has no ticket, empty if there is no parent.
    """
    if directory is None:
        return ""
    ticket = directory / "ticket.safetensors"
    return sha256(ticket)[:12] if ticket.is_file() else "missing"


@cache
def code_version() -> str:
    """Return the commit as of the first call: with `+` where code differs from it, `unknown` outside a checkout of this code.

    A Python file beside params.yaml that is not in the commit, as somebody's own search may be, is such a difference too.
    """
    root, project = str(PACKAGE.parent), Path.cwd()
    try:
        # Fails in the checkout of another project, which has this one installed.
        _git(root, "ls-files", "--error-unmatch", "--", "slt_bench/__init__.py")
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "slt_bench", "stages", ":(glob)*.py")
        foreign = project.resolve() != PACKAGE.parent.resolve() and any(project.glob("*.py"))
        return commit + ("+" if changed or foreign else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def now() -> str:
    """Return the present time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def session() -> dict[str, Any]:
    """Describe a session of a search, from its start or resumption to its stop: when it started, its threads and its device."""
    import torch

    return {"started": now(), "threads": torch.get_num_threads(), "device": _gpu() or _cpu()}


def library_versions(*names: str) -> dict[str, str]:
    """Return the versions of libraries by name; a saved state can be resumed with equal versions only."""
    return {name: _version(name) or "missing" for name in names}


def made_here(record: dict[str, Any]) -> bool:
    """Whether a search ran on a machine as this one, as far as its times depend on it; no heavy library is asked."""
    ran = record.get("environment", {})
    if visible_devices() or ran.get("gpu"):
        return bool(visible_devices()) == bool(ran.get("gpu"))
    return (ran.get("cpu"), ran.get("cores")) == _processor()


@cache
def _processor() -> tuple[str, int]:
    """Look up this machine's processor and cores, once for a plan of a thousand cells."""
    return _cpu(), cores()


def environment() -> dict[str, Any]:
    """Describe versions and hardware, for the record of a search."""
    import torch

    from slt_bench.compute.precision import rounds_to_tf32

    return {
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "gpu": _gpu(),
        "tf32": rounds_to_tf32(),
    }


def _git(directory: str, *arguments: str) -> str:
    return subprocess.run(["git", "-C", directory, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Return the name of the GPU that searches use; None where there is none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
