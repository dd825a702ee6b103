"""What a machine has and lacks for this project."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from slt_bench.doctor.finding import Finding

__all__ = ["Finding", "examine"]


def examine() -> list[Finding]:
    """Try what is needed: Python, libraries, system packages, disk, accelerator, environment, parameters and images."""
    from slt_bench.doctor.libraries import libraries, loaded, python
    from slt_bench.doctor.machine import machine

    return [python(), *libraries(), *loaded(), *machine(), *_project()]


def _project() -> Iterator[Finding]:
    """What takes pydantic and the like to look at; where they are missing, that has been said."""
    if all(find_spec(name) for name in ("pydantic", "ruamel", "PIL", "numpy")):
        from slt_bench.doctor.images import named_images
        from slt_bench.doctor.project import parameters

        yield parameters()
        yield from named_images()
