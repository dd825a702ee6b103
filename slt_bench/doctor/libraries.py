"""Python and the libraries: whether each is there in a version that will do, and whether what is compiled can be loaded."""

from __future__ import annotations

import ctypes
import ctypes.util
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from slt_bench.common.errors import BenchError
from slt_bench.common.libraries import LIBRARIES, Library, first_line
from slt_bench.doctor.finding import Finding

_APT = "build-essential git pkg-config libopencv-dev libturbojpeg0-dev python3-dev python3-venv"
_LOADED = {  # what does not go together fails as it is loaded; of ffcv, and numba with it, as this package does it
    "torch": "torch",
    "torchvision with this torch": "torchvision",
    "OpenCV": "cv2",
    "ffcv with its system libraries": "slt_bench.data.ffcv_patch",
}


def python() -> Finding:
    """The interpreter."""
    found = sys.version.split()[0]
    return Finding("Python", found, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer, then `make setup`")


def libraries() -> Iterator[Finding]:
    """All that are declared, those of the extras too."""
    wanted = _wanted()
    for library in LIBRARIES:
        yield _library(library, wanted.get(library.distribution, ""))


def loaded() -> Iterator[Finding]:
    """Try to load what is compiled."""
    failed = [finding for what, module in _LOADED.items() if (finding := _failure(what, module)) is not None]
    yield from failed or [Finding("compiled libraries", "those that are there can be loaded")]
    yield _turbojpeg()
    if not _is_there("ffcv"):
        yield _system_packages()


def _wanted() -> dict[str, str]:
    """The versions that will do, by distribution, as this package was installed with them."""
    try:
        from packaging.requirements import Requirement

        found = [Requirement(line) for line in requires("slt-bench") or []]
    except ImportError:  # not installed but run from its folder, or without that library, which is said elsewhere
        return {}
    return {each.name: str(each.specifier) for each in found}


def _library(library: Library, wanted: str) -> Finding:
    how = f"`make setup`, or {library.install}"
    try:
        found = version(library.distribution) or "of no version"
    except PackageNotFoundError:
        return Finding(library.distribution, f"missing; {library.purpose} needs it", how)
    if not _is_there(library.module):
        return Finding(library.distribution, f"{found}, but it cannot be imported", how)
    if wanted and not _fits(found, wanted):
        return Finding(library.distribution, f"{found}, but {wanted} is needed", how)
    return Finding(library.distribution, found)


def _fits(found: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(wanted).contains(found, prereleases=True)
    except InvalidVersion:
        return False


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _failure(what: str, module: str) -> Finding | None:
    """None also where it or something that it needs is missing, which is said elsewhere."""
    try:
        import_module(module)
    except ModuleNotFoundError:
        return None
    except Exception as error:  # libraries that do not go together raise many kinds
        return Finding(what, f"cannot be loaded ({first_line(error)})", "install versions that go together: `make setup`")
    return None


def _turbojpeg() -> Finding:
    """What the loader decodes JPEGs with."""
    name = ctypes.util.find_library("turbojpeg")
    try:
        if name is None:
            raise BenchError("missing; the loader needs it")
        ctypes.CDLL(name)
    except (BenchError, OSError) as error:
        return Finding("libturbojpeg", first_line(error), f"sudo apt-get install {_APT}")
    return Finding("libturbojpeg", name)


def _system_packages() -> Finding:
    """What ffcv is built with."""
    missing = [name for name in ("opencv4", "libturbojpeg") if not _has_package(name)]
    if not missing:
        return Finding("system packages for ffcv", "there")
    return Finding("system packages for ffcv", f"{' and '.join(missing)} missing", f"sudo apt-get install {_APT}")


def _has_package(name: str) -> bool:
    try:
        return subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0
    except OSError:
        return False
