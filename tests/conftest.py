"""Shared small things: a prepared digits dataset, cells at toy scale, a working directory of one's own."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

# Before torch is imported, here and in the processes that tests start: on toy tensors more threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Compiled files are kept, whatever the shell says: else every process that a test starts compiles the package anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from slt_bench.experiment.cell import Cell
from slt_bench.params.networks import Network
from slt_bench.params.recipes import Recipe
from slt_bench.params.sources import Source
from slt_bench.search.methods.edge_popup import EdgePopup

# What imports torch is imported where it is used: pytest-xdist's own process, for which the others wait, needs none of it.


@pytest.fixture(scope="session")
def digits_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/digits, prepared once."""
    from slt_bench.data.prepare import prepare
    from tests.toys_images import DIGITS

    directory = tmp_path_factory.mktemp("project") / "data" / "digits"
    prepare(DIGITS.images, directory)
    return directory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first; then the longest, so that workers that share them end at about the same time.

    What is slow in a file stays together, and with it what its tests share.
    """
    long = {item.path for item in items if item.get_closest_marker("campaign")}
    items.sort(key=lambda item: (item.get_closest_marker("slow") is not None, item.path not in long))


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector of garbage need not look at it after every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def empty_store(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without runs, made once for all sessions (its schema takes seconds)."""
    kept = pytestconfig.cache.mkdir(f"mlflow-{version('mlflow')}") / "mlflow.db"
    if not kept.is_file():
        from mlflow import MlflowClient

        made = tmp_path_factory.mktemp("store") / "mlflow.db"
        MlflowClient(f"sqlite:///{made}").search_experiments()
        partial = kept.with_name(f"{os.getpid()}.new")
        shutil.copy(made, partial)
        partial.replace(kept)  # another worker may make it too
    return kept


@pytest.fixture
def project_with_store(project: Path, empty_store: Path) -> Path:
    """The project with MLflow's store in place."""
    shutil.copy(empty_store, project / "mlflow.db")
    return project


@pytest.fixture
def project(digits_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with the digits prepared, as working directory."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digits").symlink_to(digits_directory)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Python's collector of garbage does not come by itself during the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def make_cell() -> Callable[..., Cell]:
    """A cell on digits that runs in a second; keywords replace its parts."""

    from tests.toys_images import DIGITS

    def make(**parts: Any) -> Cell:
        recipe = {"epochs": 3, "batch_size": 64, "learning_rate": 0.1} | parts.pop("recipe", {})
        defaults: dict[str, Any] = {
            "table": "one",
            "dataset_name": "digits",
            "dataset": DIGITS,
            "network_name": "tiny",
            "network": Network(kind="conv2", width=0.125),
            "source": Source(),
            "search_name": "ep",
            "search": EdgePopup(kind="edge-popup"),
            "recipe_name": "quick",
            "recipe": Recipe(**recipe),
            "sparsity": 0.5,
            "seed": 0,
        }
        return Cell(**(defaults | parts))

    return make


@pytest.fixture
def one_compiler() -> Iterator[None]:
    """Kernels are compiled by this process: else as many as there are cores import torch first."""
    from torch._inductor import config

    with config.patch(compile_threads=1):
        yield


FROZEN = Source(prune_ratio=0.25, lock_ratio=0.25, layout="epl", lock_rule="joint")
PRUNED = Source(prune_ratio=0.4, layout="erk")


@pytest.fixture(autouse=True)
def plugins_end_with_their_test() -> Iterator[None]:
    """A test's own modules are found by no other test: neither their directory nor they themselves stay."""
    before = sys.path[:]
    yield
    for directory in set(sys.path) - set(before):
        own = [name for name, module in sys.modules.items() if str(getattr(module, "__file__", None)).startswith(directory)]
        for name in own:
            del sys.modules[name]
    sys.path[:] = before
