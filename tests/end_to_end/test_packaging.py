"""What is installed is whole: a wheel holds all that commands need, and every library that is imported is declared."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from slt_bench.common.libraries import LIBRARIES

ROOT = Path(__file__).parent.parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CELL = "digits_tiny_dense_ep_quick_s50_seed0"
PARAMS = """\
datasets:
  digits: {images: {source: digits}, mean: [0.3, 0.3, 0.3], std: [0.4, 0.4, 0.4]}
networks:
  tiny: {kind: conv2, width: 0.125}
recipes:
  quick: {epochs: 1, batch_size: 64, learning_rate: 0.1}
searches:
  ep: {kind: edge-popup}
tables:
  one: {title: One, dataset: digits, network: tiny, recipe: quick, seeds: [0], rows: [{search: ep, sparsity: 0.5}]}
"""
LOAD = f"""
import slt_bench, torch
from importlib.resources import files
network = slt_bench.load_ticket("outputs/cells/one/{CELL}/ticket.safetensors")
shape = "x".join(map(str, network(torch.zeros(2, 3, 8, 8)).shape))
print(slt_bench.__file__, shape, (files(slt_bench) / "py.typed").is_file())
"""
_BUILT = {"pyproject.toml", "README.md", "slt_bench", "stages", "tests"}
Run = Callable[..., str]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own with the wheel of this tree; of the tests' environment it sees the libraries alone."""
    directory = tmp_path_factory.mktemp("packaging")
    tree = directory / "tree"  # a build leaves files behind
    shutil.copytree(ROOT, tree, ignore=lambda folder, names: set(names) - _BUILT if folder == str(ROOT) else set())
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(directory), str(tree)]
    subprocess.run([*pip, *build], check=True)
    home = directory / "environment"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    (wheel,) = directory.glob("*.whl")
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = (home / "lib").glob("python*/site-packages")
    # What is added by a .pth file is searched for modules, not for further .pth files: this checkout's stays without effect.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


@pytest.fixture(scope="module")
def run(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command of that environment in a folder that holds params.yaml and nothing else; gives what it prints."""
    directory = tmp_path_factory.mktemp("elsewhere")
    (directory / "params.yaml").write_text(PARAMS)
    hidden = ("PYTHONPATH", "PYTHONHOME", "MLFLOW_TRACKING_URI")
    environment = {key: value for key, value in os.environ.items() if key not in hidden and not key.startswith("SLT_BENCH_")}

    environment["NUMBA_CACHE_DIR"] = str(directory.with_name("compiled"))

    def of(program: str, *arguments: str, **more: str) -> str:
        command = [str(installed / "bin" / program), *arguments]
        done = subprocess.run(command, cwd=directory, env=environment | more, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return of


@pytest.mark.slow
@pytest.mark.campaign
def test_a_wheel_does_all_that_commands_do(run: Run, installed: Path) -> None:
    assert "1 tables, 1 cells, no mistake found" in run("slt-bench", "check")
    assert "scikit-learn digits" in run("slt-bench", "prepare", "digits")
    run("slt-bench", "search", CELL)
    assert f"{CELL}  test " in run("slt-bench", "evaluate", CELL)
    table = run("slt-bench", "report", "one", PYTHONIOENCODING="ascii")
    assert "edge popup" in table and table.isascii()
    assert "verified" in run("slt-bench", "ticket", f"outputs/cells/one/{CELL}/ticket.safetensors")
    file, shape, typed = run("python", "-c", LOAD).split(" ")
    assert (shape, typed) == ("2x10", "True\n") and Path(file).is_relative_to(installed)


@pytest.mark.slow
@pytest.mark.campaign
def test_a_wheel_holds_every_file_of_the_package_and_nothing_else(installed: Path) -> None:
    (site,) = (installed / "lib").glob("python*/site-packages")
    own, theirs = (
        {
            str(file.relative_to(root))
            for file in (root / "slt_bench").rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }
        for root in (ROOT, site)
    )
    assert own == theirs and {"slt_bench/py.typed", "slt_bench/experiment/published.yaml", "slt_bench/report/page.html"} <= own
    assert not {"tests", "stages"} & {path.name for path in site.iterdir()}


def imported(*packages: str) -> set[str]:
    """The top-level modules that are imported anywhere in packages of this tree."""
    found = set()
    for file in (file for package in packages for file in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"slt_bench", "stages"}


def test_every_library_that_is_imported_is_declared() -> None:
    known = {library.module for library in LIBRARIES}
    assert {"torch", "numba", "scipy", "PIL", "jinja2", "llvmlite"} <= imported("slt_bench") <= known
    assert imported("stages") <= known


def test_what_installers_are_told_is_what_people_are_told() -> None:
    declared = {("", Requirement(each).name) for each in PROJECT["project"]["dependencies"]}
    for extra, names in PROJECT["project"]["optional-dependencies"].items():
        declared |= {(extra, Requirement(each).name) for each in names if extra != "dev"}
    assert declared == {(library.extra, library.distribution) for library in LIBRARIES}


def test_every_library_is_in_the_list_that_is_locked() -> None:
    lines = [line for line in (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert {library.distribution for library in LIBRARIES} <= {Requirement(line).name for line in lines}
