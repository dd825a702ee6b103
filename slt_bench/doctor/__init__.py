"""The check of a machine for what this project needs: each thing that was examined, and how to fix what is missing.

Others take `examine`. Nothing here changes the machine.
"""

from __future__ import annotations

from collections.abc import Iterator

from slt_bench.doctor.finding import Finding

__all__ = ["Finding", "examine"]


def examine() -> list[Finding]:
    """Look at Python, libraries, system packages, disk, accelerator, environment, parameters and images."""
    from slt_bench.doctor.libraries import libraries, loaded, python
    from slt_bench.doctor.machine import machine

    return [python(), *libraries(), *loaded(), *machine(), *_project()]


def _project() -> Iterator[Finding]:
    """Look at parameters and images, unless a library that reads them is missing, which `libraries` has found."""
    try:
        from slt_bench.doctor.images import named_images
        from slt_bench.doctor.project import parameters
    except ModuleNotFoundError:
        return
    yield parameters()
    yield from named_images()
