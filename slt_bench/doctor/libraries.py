"""A check of Python and the libraries: whether each exists in a version that will do, and can be loaded if it is compiled."""

from __future__ import annotations

import ctypes
import ctypes.util
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from slt_bench.common.libraries import LIBRARIES, Library, first_line
from slt_bench.common.text import grouped
from slt_bench.doctor.finding import Finding

APT_PACKAGES = "build-essential git pkg-config libopencv-dev libturbojpeg0-dev python3-dev python3-venv"  # as in the Makefile
_INSTALL_PACKAGES = f"sudo apt-get install {APT_PACKAGES}"
_COMPILED = {  # libraries that do not fit together fail as they are loaded; ffcv, with numba, as this package loads it
    "torch": "torch",
    "torchvision with this torch": "torchvision",
    "OpenCV": "cv2",
    "ffcv with its system libraries": "slt_bench.data.ffcv_patch",
}

_FOR_SOME = "cluster"  # the extra that is nothing to fix if it is missing


def python() -> Finding:
    """Check the version of the interpreter."""
    fix = "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer, then `make setup`"
    return Finding("Python", sys.version.split()[0], fix)


def libraries() -> Iterator[Finding]:
    """Yield a finding for each library that is declared, those of the extras included."""
    specifiers = _specifiers()
    for library in LIBRARIES:
        yield _library(library, specifiers.get(library.distribution, ""))


def loaded() -> Iterator[Finding]:
    """Load all compiled libraries, and yield those that fail."""
    failures = [finding for what, module in _COMPILED.items() if (finding := _failure(what, module)) is not None]
    yield from failures or [Finding("compiled libraries", "those that exist can be loaded")]
    yield _turbojpeg()
    if not _is_importable("ffcv"):
        yield _packages_for_ffcv()


def _specifiers() -> dict[str, str]:
    """List distribution -> versions that will do, as this package was installed with them."""
    try:
        from packaging.requirements import Requirement

        requirements = [Requirement(line) for line in requires("slt-bench") or []]
    except ImportError:  # run from its folder without being installed, or packaging is missing, which `libraries` finds
        return {}
    named = grouped(requirements, lambda requirement: requirement.name)  # in several extras, perhaps without versions in one
    return {name: ",".join(sorted({str(one.specifier) for one in those} - {""})) for name, those in named.items()}


def _library(library: Library, specifier: str) -> Finding:
    """Check that a library is installed, in a version that fits the specifier."""
    fix = f"`make setup`, or {library.install}"
    try:
        installed = version(library.distribution) or "of no version"
    except PackageNotFoundError:
        if library.extra == _FOR_SOME:
            return Finding(library.distribution, f"missing; {library.purpose} needs it ({library.install})")
        return Finding(library.distribution, f"missing; {library.purpose} needs it", fix)
    if not _is_importable(library.module):
        return Finding(library.distribution, f"{installed}, but it cannot be imported", fix)
    if specifier and not _fits(installed, specifier):
        return Finding(library.distribution, f"{installed}, but {specifier} is needed", fix)
    return Finding(library.distribution, installed)


def _fits(installed: str, specifier: str) -> bool:
    """Decide whether a version fits a specifier such as >=2.9."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(specifier).contains(installed, prereleases=True)
    except InvalidVersion:
        return False


def _is_importable(module: str) -> bool:
    """Decide whether a module can be found, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _failure(what: str, module: str) -> Finding | None:
    """Import a module; None if that works, or if a module is missing, which `libraries` finds."""
    try:
        import_module(module)
    except ModuleNotFoundError:
        return None
    except Exception as error:  # libraries that do not fit together raise many kinds
        return Finding(what, f"cannot be loaded ({first_line(error)})", "install versions that go together: `make setup`")
    return None


def _turbojpeg() -> Finding:
    """Load the library that decodes JPEGs."""
    name = ctypes.util.find_library("turbojpeg")
    if name is None:
        return Finding("libturbojpeg", "missing; the loader needs it", _INSTALL_PACKAGES)
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return Finding("libturbojpeg", first_line(error), _INSTALL_PACKAGES)
    return Finding("libturbojpeg", name)


def _packages_for_ffcv() -> Finding:
    """Look for the system packages that ffcv is built with."""
    what, missing = "system packages for ffcv", [name for name in ("opencv4", "libturbojpeg") if not _has_package(name)]
    return Finding(what, f"{' and '.join(missing)} missing", _INSTALL_PACKAGES) if missing else Finding(what, "installed")


def _has_package(name: str) -> bool:
    """Ask pkg-config whether a library's development files are installed."""
    try:
        return subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0
    except OSError:
        return False
