"""Where images come from: folders, archives, releases; a full disk."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import exclusive
from slt_bench.data.manifest import FILES, read_manifest
from slt_bench.data.prepare import prepare
from slt_bench.data.sources import fashion_mnist
from slt_bench.data.sources.image_folder import image_folder as find_folder
from slt_bench.data.sources.registry import is_at_hand, load_images
from slt_bench.data.sources.splits import ImageSet, Split
from slt_bench.data.verify import verify_file
from slt_bench.params.datasets import RELEASES, Images
from tests.toys_images import DIGITS, TarMode


def image_folder(path: Path, size: int) -> ImageSet:
    """Found, and every image decoded once."""
    found = find_folder(path, Images(source="image_folder", path=str(path), size=size))
    assert len(content(found.train)) and len(content(found.test))
    return found


def content(split: Split) -> np.ndarray:
    return np.stack([split[index] for index in range(len(split.labels))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory of split/class/image with two classes, odd modes and odd sizes among the images."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for name in ("cat", "ant"):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (16, 16 + 4 * (number % 2), 3), dtype=np.uint8)
                mode = ("RGB", "L", "CMYK")[number % 3]
                Image.fromarray(pixels).convert(mode).save(tmp_path / "images" / split / name / f"{number}.jpg")
    return tmp_path / "images"


def test_directory_and_tar_give_the_same_images_of_one_size(folder: Path, tmp_path: Path) -> None:
    modes: dict[str, TarMode] = {".tar": "w", ".tar.xz": "w:xz"}
    for ending, mode in modes.items():
        with tarfile.open(tmp_path / f"images{ending}", mode) as archive:
            archive.add(folder, ".")
    (folder / "train" / "cat" / ".thumbnails").mkdir()  # what people leave lying about
    (folder / "train" / "cat" / "notes.txt").write_text("no picture")
    sets = [image_folder(path, 16) for path in (folder, tmp_path / "images.tar", tmp_path / "images.tar.xz")]
    assert sets[0].classes == ["ant", "cat"]
    assert len({content(each.train).tobytes() for each in sets}) == 1
    assert content(sets[0].train).shape == (12, 16, 16, 3) and sets[0].test.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_an_image_folder_becomes_a_dataset(folder: Path, tmp_path: Path) -> None:
    images = Images(source="image_folder", path=str(folder), size=8, validation=0.34)
    manifest = prepare(images, tmp_path / "pets")
    assert [manifest.files[name].per_class for name in FILES] == [[6, 6], [3, 3]] and len(manifest.held_out) == 4
    assert manifest.files["train"].image_size == 8


def test_an_unreadable_image_is_named_and_nothing_hangs(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "cat" / "3.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a JPEG")
    with pytest.raises(BenchError, match=r"unreadable image .*train/cat/3\.jpg"):
        prepare(Images(source="image_folder", path=str(folder), size=8), tmp_path / "pets")
    assert not (tmp_path / "pets" / "manifest.json").exists()


def test_a_truncated_image_is_named(folder: Path) -> None:
    picture = folder / "test" / "ant" / "0.jpg"
    picture.write_bytes(picture.read_bytes()[:-200])
    with pytest.raises(BenchError, match=r"unreadable image .*test/ant/0\.jpg"):
        image_folder(folder, 16)


def test_val_is_the_test_set_where_there_is_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in the folders of Imagenette."""
    monkeypatch.setenv("SLT_BENCH_IMAGENETTE", str(folder))
    with_test = load_images(Images(source="imagenette"))
    assert with_test.origin == "images of images" and "val" not in capsys.readouterr().out
    (folder / "test").rename(folder / "val")
    by_val = load_images(Images(source="imagenette"))
    assert by_val.origin == "images of images, its val as test"
    assert "has no folder test: its folder val is the test set" in capsys.readouterr().out
    assert by_val.classes == with_test.classes and by_val.test.labels.tolist() == with_test.test.labels.tolist()
    shutil.copytree(folder / "val", folder / "test")
    both = load_images(Images(source="imagenette"))
    assert both.origin.startswith("images of images") and "as test" not in both.origin
    monkeypatch.delenv("SLT_BENCH_IMAGENETTE")
    with pytest.raises(BenchError, match="name its directory or tar in the variable SLT_BENCH_IMAGENETTE"):
        load_images(Images(source="imagenette"))


def test_what_is_no_dataset_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="there is no image folder or archive"):
        image_folder(tmp_path / "nowhere", 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="is not a dataset: expected train/CLASS/IMAGE"):
        image_folder(tmp_path / "empty", 8)
    shutil.rmtree(folder / "test" / "cat")
    with pytest.raises(BenchError, match="class cat not in test"):
        image_folder(folder, 8)


@pytest.mark.parametrize(("ending", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tar.xz", "w:xz")])
def test_a_damaged_archive_is_never_a_smaller_dataset(folder: Path, tmp_path: Path, ending: str, mode: TarMode) -> None:
    path = tmp_path / f"images{ending}"
    with tarfile.open(path, mode) as archive:
        archive.add(folder, ".")
    whole = path.read_bytes()
    cut = whole[: len(whole) // 2 // 512 * 512]
    path.write_bytes(b"no archive")
    with pytest.raises(BenchError, match="cannot be read as a tar archive"):
        image_folder(path, 8)
    for damaged in (cut, cut[:-1], cut + bytes([cut[-1] ^ 255]) * 600 + whole[len(cut) + 600 :]):
        path.write_bytes(damaged)
        with pytest.raises(BenchError, match=r"cannot be read as a tar archive|unreadable image"):
            image_folder(path, 8)


def test_no_space_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1 << 20))
    with pytest.raises(BenchError, match=r"no space for .*: about 64 MiB are needed, 1 MiB are free"):
        prepare(DIGITS.images, tmp_path / "digits")
    assert not list((tmp_path / "digits").glob("*.beton"))


def test_no_space_does_not_cost_what_is_there(digits_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = shutil.copytree(digits_directory, tmp_path / "digits")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1 << 20))
    with pytest.raises(BenchError, match="no space"):
        prepare(DIGITS.images, directory)
    verify_file(directory, "train", read_manifest(directory))


def test_a_disk_that_fills_up_while_writing_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ffcv.writer.handle_sample", full)
    with pytest.raises(BenchError, match="No space left on device"):
        prepare(DIGITS.images, tmp_path / "digits")
    assert [path.name for path in (tmp_path / "digits").iterdir()] == ["lock"]


def test_two_writers_of_one_dataset_do_not_meet(tmp_path: Path) -> None:
    with exclusive(tmp_path / "digits"), pytest.raises(BenchError, match="another process is at work"):
        prepare(DIGITS.images, tmp_path / "digits")


def test_a_folder_of_other_classes_is_not_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLT_BENCH_CIFAR10", str(folder))
    with pytest.raises(BenchError, match="which has 2 classes instead of 10"):
        load_images(Images(source="cifar10"))


def test_the_facts_of_a_release_are_those_of_its_images() -> None:
    source, release = load_images(DIGITS.images), RELEASES["digits"]
    assert len(source.train.labels) == release.train_images and len(source.classes) == release.classes
    assert source.train[0].shape == (release.image_size, release.image_size, 3)


@pytest.mark.slow
@pytest.mark.skipif("SLT_BENCH_CIFAR10" not in os.environ, reason="SLT_BENCH_CIFAR10 names no CIFAR-10 images")
def test_real_cifar10() -> None:
    found = load_images(Images(source="cifar10"))
    assert (len(found.train.labels), len(found.test.labels)) == (50_000, 10_000)
    assert found.train[0].shape == found.test[9_999].shape == (32, 32, 3)
    assert found.classes[0] == "airplane" and np.bincount(found.train.labels).tolist() == [5000] * 10


@pytest.mark.parametrize(
    ("source", "folder"),
    [("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python"), ("fashion_mnist", "FashionMNIST/raw")],
)
def test_images_are_at_hand_once_they_are_downloaded_or_named(
    source: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "package")
    variable = f"SLT_BENCH_{source.upper()}"
    monkeypatch.delenv(variable, raising=False)
    assert not is_at_hand(Images(source=source))
    monkeypatch.setenv(variable, str(tmp_path / "named"))
    assert not is_at_hand(Images(source=source))  # it does not exist
    (tmp_path / "named").mkdir()
    assert is_at_hand(Images(source=source))
    monkeypatch.delenv(variable)
    (paths.DOWNLOADS / folder).mkdir(parents=True)
    assert is_at_hand(Images(source=source))


def test_images_of_a_package_are_at_hand_and_those_that_only_a_variable_names_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path)
    for name in ("FASHION_MNIST", "IMAGENETTE"):
        monkeypatch.delenv(f"SLT_BENCH_{name}", raising=False)
    assert is_at_hand(Images(source="fashion_mnist")) and is_at_hand(DIGITS.images)
    assert not is_at_hand(Images(source="imagenette"))
