"""A manifest is whole, and fits the .beton files beside it, or it is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slt_bench.common.errors import BenchError
from slt_bench.data.manifest import FILES, read_manifest, read_origin
from slt_bench.data.verify import verify_file
from tests.toys_images import signed

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def dataset(digits_directory: Path, tmp_path: Path) -> Path:
    """A copy of one's own; train.beton is not needed here."""
    return shutil.copytree(digits_directory, tmp_path / "digits", ignore=shutil.ignore_patterns(".*", "train.beton"))


def edited(dataset: Path, edit: Edit, sign: bool = True) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    edit(manifest)
    complete = "classes" in manifest and {*FILES} <= {*manifest["files"]}
    (dataset / "manifest.json").write_text(json.dumps(signed(manifest) if sign and complete else manifest))


def exchange(values: list[Any], one: int, other: int) -> None:
    values[one], values[other] = values[other], values[one]


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: exchange(m["classes"], 0, 1),
        lambda m: m["classes"].__setitem__(3, "three"),
        lambda m: exchange(m["files"]["train"]["per_class"], 0, 3),
        lambda m: m["files"]["train"].update(image_size=None),
        lambda m: m["files"]["test"].update(image_size=9),
        lambda m: m["files"]["test"].update(digest="0" * 64),
        lambda m: m["files"].update(train=m["files"]["test"], test=m["files"]["train"]),
        lambda m: m["held_out"].pop(),
        lambda m: m["held_out"].__setitem__(0, m["held_out"][0] - 1 if m["held_out"][0] else m["held_out"][1] - 1),
        lambda m: m.update(digest="0" * 64),
    ],
)
def test_the_digest_covers_all_that_determines_what_is_shown(dataset: Path, edit: Edit) -> None:
    edited(dataset, edit, sign=False)
    with pytest.raises(BenchError, match=r"manifest\.json is damaged or of an older version \((digest is not that|held_out)"):
        read_manifest(dataset)


def test_the_same_lists_have_the_digest_that_was_written(dataset: Path) -> None:
    before = read_manifest(dataset)
    edited(dataset, lambda m: m)
    assert read_manifest(dataset) == before


def test_the_digest_does_not_depend_on_where_or_by_what_it_was_written(dataset: Path, digits_directory: Path) -> None:
    edited(dataset, lambda m: m["written_by"].update(numpy="0"), sign=False)
    assert read_manifest(dataset).digest == read_manifest(digits_directory).digest


def test_a_manifest_of_an_older_version_is_named(dataset: Path) -> None:
    def as_before(m: dict[str, Any]) -> None:
        content = "".join(m["files"][name]["digest"] for name in FILES).encode()
        m["digest"] = hashlib.sha256(content + np.array(m["held_out"], "<i8").tobytes()).hexdigest()

    edited(dataset, as_before, sign=False)
    with pytest.raises(BenchError, match=r"of an older version .*: delete it, then `slt-bench prepare digits`"):
        read_manifest(dataset)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m["held_out"].insert(1, m["held_out"][0]), "held_out does not rise"),
        (lambda m: m["held_out"].reverse(), "held_out does not rise"),
        (lambda m: m["held_out"].append(1438), "held_out is no part of the 1438 images"),
        (lambda m: m["held_out"].append(10**9), r"held_out.288: Input should be less than"),
        (lambda m: m["held_out"].insert(0, -1), r"held_out.0: Input should be greater than or equal to 0"),
        (lambda m: m["held_out"].__setitem__(0, 0.5), r"held_out.0: "),
        (lambda m: m["held_out"].clear(), "held_out is no part of the 1438 images"),
        (lambda m: m.update(held_out=list(range(1438))), "held_out is no part of the 1438 images"),
        (lambda m: m["files"].pop("test"), "files has no entry test"),
        (lambda m: m["files"].update(val=m["files"]["test"]), "files.val"),
        (lambda m: m["classes"].__setitem__(1, m["classes"][0]), "classes names '0' twice"),
        (lambda m: m["classes"].append("ten"), "files.train.per_class counts 10 classes, there are 11"),
        (lambda m: m["files"]["test"].update(images=360), "files.test: per_class sums to 359 instead of 360 images"),
        (lambda m: m["files"]["test"].update(images=10**30), "files.test.images: "),
        (lambda m: m["files"]["test"].update(image_size=0), "files.test.image_size: "),
        (lambda m: m["files"]["test"].update(sha256="?"), "files.test.sha256: "),
        (lambda m: m.update(images={"source": ["digits"]}), "images.source"),
        (lambda m: m.update(more=1), "more: "),
        (lambda m: m.pop("classes"), "classes: Field required"),
    ],
)
def test_what_a_manifest_may_not_list_is_named(dataset: Path, edit: Edit, message: str) -> None:
    edited(dataset, edit)
    with pytest.raises(
        BenchError, match=rf"manifest\.json is damaged or of an older version \({message}.*\): delete it"
    ) as error:
        read_manifest(dataset)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe{}", b"[" * 100_000])
def test_a_manifest_that_is_no_manifest_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(BenchError, match=r"^[^\n]*manifest\.json is damaged[^\n]*$"):
        read_manifest(tmp_path)


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(BenchError, match=r"manifest\.json cannot be read \(Is a directory\): fix or delete it"):
        read_manifest(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match=r"manifest\.json cannot be read \(Not a directory\)"):
        read_manifest(tmp_path / "file")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: exchange(m["files"]["test"]["per_class"], 0, 3), "other numbers of images per class"),
        (lambda m: m["files"]["test"].update(image_size=None), "image size 8 instead of None"),
        (lambda m: m["files"]["test"].update(image_size=16), "image size 8 instead of 16"),
        (
            lambda m: m["files"]["test"].update(images=360) or m["files"]["test"]["per_class"].append(1)
            or m["files"]["train"]["per_class"].append(0) or m["classes"].append("ten"), "359 images instead of 360",
        ),
        (
            lambda m: [m["classes"].pop()] + [f["per_class"].append(f["per_class"].pop() + f["per_class"].pop())
            for f in m["files"].values()], "label 9 of 9 classes",
        ),
    ],
)  # fmt: skip
def test_a_manifest_that_does_not_fit_its_files_is_named(dataset: Path, edit: Edit, message: str) -> None:
    """Whole in itself, and the files have the bytes that it lists: what they hold differs. It was verified before."""
    verify_file(dataset, "test", read_manifest(dataset))
    edited(dataset, edit)
    with pytest.raises(BenchError, match=rf"manifest\.json does not fit .*test\.beton \({message}\): delete it, then"):
        verify_file(dataset, "test", read_manifest(dataset))


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_bytes(b"\xff")])
def test_a_mark_of_verification_that_cannot_be_read_is_none(dataset: Path, make: Callable[[Path], object]) -> None:
    make(dataset / ".test.verified")
    manifest = read_manifest(dataset)
    assert verify_file(dataset, "test", manifest) == verify_file(dataset, "test", manifest) == dataset / "test.beton"
    with (dataset / "test.beton").open("r+b") as file:
        file.write(b"?")
    with pytest.raises(BenchError, match="its bytes have changed"):
        verify_file(dataset, "test", manifest)


def test_a_file_that_cannot_be_read_is_named(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("slt_bench.data.verify.sha256", fail)
    with pytest.raises(BenchError, match=r"test\.beton cannot be read \(Permission denied\): delete it"):
        verify_file(dataset, "test", read_manifest(dataset))


def test_an_origin_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    assert read_origin(tmp_path) == "unknown"
    (tmp_path / "origin.txt").mkdir()
    assert read_origin(tmp_path) == "unknown"
