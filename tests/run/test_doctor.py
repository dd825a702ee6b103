"""The doctor tries what is needed: what is missing, broken or named wrongly is marked, with what to do."""

from __future__ import annotations

import ctypes.util
import re
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from slt_bench.common.libraries import LIBRARIES
from slt_bench.doctor import Finding, examine
from slt_bench.doctor import libraries as of_libraries
from slt_bench.doctor.images import named_images, variables
from slt_bench.doctor.machine import machine
from slt_bench.doctor.project import parameters
from slt_bench.params.datasets import SOURCES, Images
from slt_bench.tracking.contact import without_password
from tests.experiment.test_params import GOOD
from tests.toys_images import TarMode

TREES = ["SLT_BENCH_CIFAR10", "SLT_BENCH_CIFAR100", "SLT_BENCH_IMAGENET_SAMPLE"]
RELEASES = [("SLT_BENCH_CIFAR10", "cifar-10-batches-py", "data_batch_1"), ("SLT_BENCH_CIFAR100", "cifar-100-python", "train")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with parameters and nothing in the environment."""
    (tmp_path / "params.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    for name in (*variables(), "WORLD_SIZE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def tree(root: Path, *folders: str) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return root


def archive(path: Path, *names: str, mode: TarMode = "w") -> Path:
    with tarfile.open(path, mode) as made:
        for name in names:
            made.addfile(tarfile.TarInfo(name))
    return path


def of(variable: str) -> Finding:
    return next(finding for finding in named_images() if finding.what == variable)


def marked(findings: list[Finding]) -> list[str]:
    return [finding.what for finding in findings if finding.fix]


def test_all_is_well_where_all_is_importable(here: Path) -> None:
    findings = examine()
    assert set(marked(findings)) <= {"disk space here"}, findings
    assert {library.distribution for library in LIBRARIES} <= {finding.what for finding in findings}
    assert {"params.yaml", "project folder", "libturbojpeg", "compiled libraries"} <= {finding.what for finding in findings}


def test_every_source_that_a_variable_can_name_is_looked_at(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {Images.model_construct(source=source).variable for source in SOURCES} - {None}
    for name in known:
        monkeypatch.setenv(str(name), "no/such/file")
    assert set(marked(list(named_images()))) == known and {*TREES, "SLT_BENCH_IMAGENET"} <= known


@pytest.mark.parametrize("variable", TREES)
def test_folders_and_archives_of_pictures(here: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    good = [
        tree(here / "folder", "train/cat", "test/cat"),
        archive(here / "good.tar", "train/cat/1.png", "test/cat/1.png"),
        archive(here / "good.tar.xz", *(f"images/test/cat/{index}.png" for index in range(200)), mode="w:xz"),
    ]
    (here / "damaged.tar").write_bytes(b"nonsense" * 100)
    (here / "cut.tar.xz").write_bytes((here / "good.tar.xz").read_bytes()[:60])
    bad = [
        here / "nothing", tree(here / "empty", "train"), tree(here / "other", "cat"), here / "damaged.tar", here / "cut.tar.xz",
        archive(here / "other.tar", "cat/1.png"), Path("/dev/null"), Path("x" * 5000),
    ]  # fmt: skip
    for path in (*good, *bad):
        monkeypatch.setenv(variable, str(path))
        found = of(variable)
        assert bool(found.fix) == (path in bad) and str(path) in found.found, found
        assert f"set {variable} to" in found.fix or not found.fix


def test_the_four_files_of_fashion_mnist(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(here, "clothes") / "clothes"
    monkeypatch.setenv("SLT_BENCH_FASHION_MNIST", str(folder))
    assert "lacks train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-" in of("SLT_BENCH_FASHION_MNIST").found
    for name in (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte",
    ):
        assert of("SLT_BENCH_FASHION_MNIST").fix == "set SLT_BENCH_FASHION_MNIST to the directory of its four files"
        (folder / name).touch()
    assert not of("SLT_BENCH_FASHION_MNIST").fix


def test_a_folder_without_test_images(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SLT_BENCH_CIFAR10", "SLT_BENCH_IMAGENETTE"):
        folder = tree(here / variable, "train/cat")
        monkeypatch.setenv(variable, str(folder / variable))
        assert of(variable).fix and "does not exist" in of(variable).found
        monkeypatch.setenv(variable, str(folder))
        assert of(variable).fix and of(variable).found.endswith("holds no folder test or val")
        tree(folder, "val/cat")
        assert not of(variable).fix


def test_versions_that_any_extra_asks_for_are_asked_for() -> None:
    asked = of_libraries._specifiers()
    assert {name: asked[name] for name in ("distributed", "dask-jobqueue")} == {
        "distributed": ">=2025.1",
        "dask-jobqueue": ">=0.9",
    }


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://TOKEN@host/x", "https://***@host/x"),
        ("postgresql://u:p#w@h/db", "postgresql://***@h/db"),
        ("postgresql://u:p/w@h/db", "postgresql://***@h/db"),
        ("http://u:p w@[h", "http://u:p w@[h"),
        ("http://host/a@b", "http://host/a@b"),
    ],
)
def test_no_password_is_shown(address: str, shown: str) -> None:
    assert without_password(address) == shown


@pytest.mark.parametrize(("variable", "name", "part"), RELEASES)
def test_a_release_or_the_folder_around_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, variable: str, name: str, part: str
) -> None:
    release = tree(here / "around", name) / name
    monkeypatch.setenv(variable, str(release.parent))
    assert of(variable).fix
    (release / part).touch()
    assert not of(variable).fix
    monkeypatch.setenv(variable, str(release))
    assert not of(variable).fix


def test_the_release_of_imagenet_has_two_parts(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tree(here / "release", "train")))
    assert "val" in of("SLT_BENCH_IMAGENET").found and of("SLT_BENCH_IMAGENET").fix
    (here / "release" / "ILSVRC2012_img_val.tar").touch()
    assert not of("SLT_BENCH_IMAGENET").fix


def test_a_library_that_is_missing_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(name: str) -> str:
        if name == "numba":
            raise PackageNotFoundError(name)
        return "0.1" if name == "torch" else version(name)

    monkeypatch.setattr(of_libraries, "version", other)
    found = {finding.what: finding for finding in of_libraries.libraries()}
    assert marked(list(found.values())) == ["torch", "numba"]
    assert "0.1, but >=" in found["torch"].found
    assert "missing; preparing and loading images" in found["numba"].found and "slt-bench[data]" in found["numba"].fix


@pytest.mark.parametrize("error", ["RuntimeError('operator torchvision::nms does not exist')", "ImportError('libGL.so.1')"])
def test_libraries_that_do_not_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    (tmp_path / "broken_library.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(of_libraries._COMPILED, "a broken one", "broken_library")
    found = next(of_libraries.loaded())
    assert found.what == "a broken one" and error.split("'")[1] in found.found and "make setup" in found.fix


def test_the_decoder_of_jpegs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not of_libraries._turbojpeg().fix
    for name in (None, "libnothing.so.9"):
        monkeypatch.setattr(ctypes.util, "find_library", lambda _, name=name: name)
        assert "libturbojpeg" in of_libraries._turbojpeg().fix


def test_the_system_packages_are_those_of_make_setup() -> None:
    makefile = (Path(__file__).parent.parent.parent / "Makefile").read_text()
    assert re.findall(r"^APT +:= (.*)$", makefile, re.M) == [of_libraries.APT_PACKAGES]


def test_what_ffcv_is_built_with_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_libraries, "_COMPILED", {})
    monkeypatch.setattr(of_libraries, "_is_importable", lambda name: name != "ffcv")
    monkeypatch.setenv("PATH", "")
    assert [finding.what for finding in of_libraries.loaded() if "missing" in finding.found] == ["system packages for ffcv"]


def test_folders_that_cannot_be_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "outputs").touch()
    tree(here, "mlflow.db")
    assert {"project folder", "MLflow store"} <= set(marked(list(machine())))
    if sys.platform.startswith("linux"):
        monkeypatch.chdir("/proc/self")
        assert "project folder" in marked(list(machine()))


def test_parameters_with_mistakes(here: Path) -> None:
    assert not parameters().fix
    (here / "params.yaml").write_text(GOOD.replace("epochs: 2", "epochs: two").replace("width: 0.125", "width: -1"))
    assert "params.yaml:4: " in parameters().found and "(and 1 more)" in parameters().found and parameters().fix
    (here / "params.yaml").unlink()
    assert "is missing" in parameters().found and parameters().fix == "run the command in the root of a project"


def test_what_the_environment_says(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host:5000")
    found = {finding.what: finding for finding in machine()}
    assert found["MLFLOW_TRACKING_URI"].found == "https://***@host:5000"
    assert "RANK is not set" in found["several processes"].found and "unset WORLD_SIZE" in found["several processes"].fix
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://[broken\n")
    assert str(next(finding for finding in machine() if finding.what == "MLFLOW_TRACKING_URI")).count("\n") == 0
