"""Data: the same images give the same manifest; loaders give the same bytes; damage is named."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from slt_bench.checkpoint import exclusive
from slt_bench.data import beton
from slt_bench.data.beton import prepare
from slt_bench.data.image_sources import ImageSet, Split, balanced_indices, load_images
from slt_bench.data.image_sources import image_folder as find_folder
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import FILES, read_manifest, verify_file
from slt_bench.errors import BenchError
from slt_bench.params import Images
from tests.conftest import DIGITS, labels_of, pictures


def image_folder(path: Path, size: int) -> ImageSet:
    """Found, and every image decoded once."""
    found = find_folder(path, Images(source="image_folder", path=str(path), size=size))
    assert len(content(found.train)) and len(content(found.test))
    return found


def content(split: Split) -> np.ndarray:
    return np.stack([split[index] for index in range(len(split.labels))])


def epoch_bytes(loader: Loader, number: int) -> bytes:
    return b"".join(images.numpy().tobytes() + labels.numpy().tobytes() for images, labels in loader.epoch(number))


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


def test_preparing_twice_gives_the_same_manifest_and_files(digits_directory: Path, tmp_path: Path) -> None:
    again = prepare(DIGITS.images, tmp_path / "digits")
    assert again == read_manifest(digits_directory)
    for name in FILES:
        assert (tmp_path / "digits" / f"{name}.beton").read_bytes() == (digits_directory / f"{name}.beton").read_bytes()


def test_splits_are_disjoint_class_balanced_and_complete(digits_directory: Path) -> None:
    manifest = read_manifest(digits_directory)
    assert manifest.counts() == {"train": 1150, "val": 288, "test": 359}
    labels = {name: np.array(labels_of(digits_directory / f"{name}.beton")) for name in FILES}
    for split in ("train", "val", "all", "test"):
        name, indices = manifest.split(split)
        per_class = np.bincount(labels[name][indices])
        assert per_class.max() - per_class.min() <= 10 and indices.tolist() == sorted(indices)
    train, val, both = (set(manifest.split(split)[1].tolist()) for split in ("train", "val", "all"))
    assert not train & val and train | val == both and len(both) == 1438
    everything = [pictures(digits_directory / f"{name}.beton").reshape(-1, 192) for name in FILES]
    assert len(np.unique(np.concatenate(everything), axis=0)) == 1797


def test_subset_is_class_balanced_and_another_seed_gives_another() -> None:
    labels = np.repeat(np.arange(10), 100)
    chosen = balanced_indices(labels, 55, 0, "subset")
    counts = np.bincount(labels[chosen])
    assert len(set(chosen)) == 55 and set(counts) == {5, 6}
    assert set(chosen) != set(balanced_indices(labels, 55, 1, "subset"))


def test_same_bytes_for_any_number_of_workers(digits_directory: Path) -> None:
    path = digits_directory / "train.beton"
    one, two = (Loader(path, DIGITS, 64, seed=3, workers=workers) for workers in (1, 2))
    for number in (0, 5, 1):
        assert epoch_bytes(one, number) == epoch_bytes(two, number)
    assert epoch_bytes(one, 0) != epoch_bytes(one, 1)
    assert epoch_bytes(one, 0) != epoch_bytes(Loader(path, DIGITS, 64, seed=4), 0)


def test_augmentation_depends_on_seed_epoch_and_image_alone(digits_directory: Path) -> None:
    """Another batch size, or a part of the images, regroups them but does not change one of them."""
    path = digits_directory / "train.beton"

    def shown(batch: int, indices: np.ndarray | None = None) -> set[bytes]:
        batches = Loader(path, DIGITS, batch, seed=0, indices=indices).raw_epoch(2)
        return {image.tobytes() for images, _ in batches for image in images}

    small, large = shown(2), shown(719)  # both divide 1438
    assert small == large and len(small) > 1380
    assert shown(10, np.arange(0, 1438, 2)[:710]) < large


def test_crops_and_flips_are_what_they_say(digits_directory: Path) -> None:
    plain = pictures(digits_directory / "train.beton")
    padded = np.pad(plain, ((0, 0), (1, 1), (1, 1), (0, 0)))
    possible = [
        {padded[n, top : top + 8, left : left + 8][:, ::step].tobytes()
         for top in range(3) for left in range(3) for step in (1, -1)}
        for n in range(len(plain))
    ]  # fmt: skip
    from slt_bench import streams

    order = streams.permutation(0, "order", 0, len(plain))
    seen = 0
    for images, _ in Loader(digits_directory / "train.beton", DIGITS, 719, seed=0).raw_epoch(0):
        for image in images:
            assert image.tobytes() in possible[order[seen]]
            seen += 1
    assert seen == 1438


def test_evaluation_sees_every_image_once_in_order(digits_directory: Path) -> None:
    loader = Loader(digits_directory / "test.beton", DIGITS, 100)
    labels = torch.cat([labels for _, labels in loader.epoch()])
    assert len(loader) == 4 and loader.images == 359
    assert labels.tolist() == labels_of(digits_directory / "test.beton")


def test_normalisation(digits_directory: Path) -> None:
    images, _ = next(Loader(digits_directory / "test.beton", DIGITS, 8).epoch())
    raw = pictures(digits_directory / "test.beton")[:8]
    expected = (raw.transpose(0, 3, 1, 2) / 255 - 0.3) / 0.4
    np.testing.assert_allclose(images.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_batches_that_are_kept_stay_as_they_were(digits_directory: Path) -> None:
    loader = Loader(digits_directory / "train.beton", DIGITS, 50, seed=0)
    kept = list(loader.epoch(0))
    assert epoch_bytes(loader, 0) == b"".join(images.numpy().tobytes() + labels.numpy().tobytes() for images, labels in kept)


@pytest.mark.slow
def test_torchs_thread_count_is_left_alone_and_compiled_code_is_cached(digits_directory: Path, tmp_path: Path) -> None:
    script = (
        "import torch; torch.set_num_threads(3)\n"
        "import slt_bench.data.beton\nassert torch.get_num_threads() == 3, 'beton'\n"
        "from slt_bench.data.loader import Loader\nfrom tests.conftest import DIGITS\nfrom pathlib import Path\n"
        f"list(Loader(Path('{digits_directory}/train.beton'), DIGITS, 64, seed=0).epoch(0))\n"
        "import numba.typed; assert numba.typed.Dict is not dict\n"
        "assert torch.get_num_threads() == 3, torch.get_num_threads()"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "error::Warning:numba", "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Cannot cache" not in done.stderr
    assert list((tmp_path / "numba").rglob("*.nbc"))


def test_a_last_batch_of_one_keeps_its_shape(digits_directory: Path) -> None:
    *_, (images, labels) = Loader(digits_directory / "test.beton", DIGITS, 358).epoch()
    assert images.shape == (1, 3, 8, 8) and labels.shape == (1,)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "is missing: `slt-bench prepare digits`"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "bytes instead of"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9] + b"?" + path.read_bytes()[-8:]), "its bytes have changed"),
    ],
)  # fmt: skip
def test_a_damaged_beton_is_named(digits_directory: Path, tmp_path: Path, damage: object, message: str) -> None:
    directory = shutil.copytree(digits_directory, tmp_path / "digits")
    damage(directory / "test.beton")  # type: ignore[operator]
    manifest = read_manifest(directory)
    verify_file(directory, "train", manifest)
    with pytest.raises(BenchError, match=message):
        verify_file(directory, "test", manifest)


def test_a_whole_file_is_read_once_and_again_when_it_was_touched(
    digits_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = shutil.copytree(digits_directory, tmp_path / "digits")
    manifest, read = read_manifest(directory), []
    monkeypatch.setattr("slt_bench.data.manifest.sha256", lambda path: read.append(path) or manifest.files["test"].sha256)
    verify_file(directory, "test", manifest)
    verify_file(directory, "test", manifest)
    assert len(read) == 1
    os.utime(directory / "test.beton", (1, 1))
    verify_file(directory, "test", manifest)
    assert len(read) == 2


def test_an_error_while_making_batches_reaches_the_caller(digits_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("in the thread")

    monkeypatch.setattr("slt_bench.data.show._show", fail)
    with pytest.raises(RuntimeError, match="in the thread"):
        list(Loader(digits_directory / "train.beton", DIGITS, 64, seed=0).epoch(0))


def test_a_missing_or_damaged_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="dataset nothing is not prepared"):
        read_manifest(tmp_path / "nothing")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BenchError, match=r"manifest\.json is damaged"):
        read_manifest(tmp_path)


def test_directory_and_tar_give_the_same_images_of_one_size(folder: Path, tmp_path: Path) -> None:
    for ending, mode in ((".tar", "w"), (".tar.xz", "w:xz")):
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


def test_what_is_no_dataset_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="there is no image folder or archive"):
        image_folder(tmp_path / "nowhere", 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="is not a dataset: expected train/CLASS/IMAGE"):
        image_folder(tmp_path / "empty", 8)
    shutil.rmtree(folder / "test" / "cat")
    with pytest.raises(BenchError, match="2 classes in train and 1 in test"):
        image_folder(folder, 8)


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.xz"])
def test_a_damaged_archive_is_never_a_smaller_dataset(folder: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"images{ending}"
    with tarfile.open(path, f"w:{ending[5:]}") as archive:
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
    monkeypatch.setattr(beton.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1 << 20))
    with pytest.raises(BenchError, match=r"no space for .*: about 64 MiB are needed, 1 MiB are free"):
        prepare(DIGITS.images, tmp_path / "digits")
    assert not list((tmp_path / "digits").glob("*.beton"))


def test_no_space_does_not_cost_what_is_there(digits_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = shutil.copytree(digits_directory, tmp_path / "digits")
    monkeypatch.setattr(beton.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1 << 20))
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


def cifar_release(root: Path) -> Iterator[tuple[str, bytes]]:
    """A small CIFAR-10 in the release's own format: pickled batches of 20 images, and the names of the classes."""
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 3072), dtype=np.uint8)
        yield name, pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(20)]})
    yield "batches.meta", pickle.dumps({"label_names": list("abcdefghij")})


def test_the_standard_release_is_read_through_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hashlib import md5

    from torchvision.datasets import CIFAR10

    base = tmp_path / CIFAR10.base_folder
    base.mkdir()
    sums = {}
    for name, content in cifar_release(tmp_path):
        (base / name).write_bytes(content)
        sums[name] = md5(content).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    monkeypatch.setenv("SLT_BENCH_CIFAR10", str(tmp_path))
    found = load_images(Images(source="cifar10"))
    assert found.train.images.shape == (100, 32, 32, 3) and found.test.images.shape == (20, 32, 32, 3)
    assert found.classes == list("abcdefghij") and found.origin == "cifar10, standard release"


def test_no_release_and_no_network_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.error import URLError

    from torchvision.datasets import CIFAR10

    def offline(self: object) -> None:
        raise URLError("offline")

    monkeypatch.setattr(CIFAR10, "download", offline)
    monkeypatch.delenv("SLT_BENCH_CIFAR10", raising=False)
    with pytest.raises(BenchError, match=r"cifar10 is neither in .* nor to be downloaded .* SLT_BENCH_CIFAR10"):
        load_images(Images(source="cifar10"))
    monkeypatch.setenv("SLT_BENCH_CIFAR10", str(tmp_path / "nowhere"))
    with pytest.raises(BenchError, match=r"names .*nowhere, which does not exist"):
        load_images(Images(source="cifar10"))
    monkeypatch.setenv("SLT_BENCH_CIFAR10", str(tmp_path))
    with pytest.raises(BenchError, match="cifar10 is neither in"):
        load_images(Images(source="cifar10"))


def test_a_folder_of_other_classes_is_not_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLT_BENCH_CIFAR10", str(folder))
    with pytest.raises(BenchError, match="which has 2 classes instead of 10"):
        load_images(Images(source="cifar10"))


@pytest.mark.skipif("SLT_BENCH_CIFAR10" not in os.environ, reason="SLT_BENCH_CIFAR10 names no CIFAR-10 images")
def test_real_cifar10() -> None:
    found = load_images(Images(source="cifar10"))
    assert (len(found.train.labels), len(found.test.labels)) == (50_000, 10_000)
    assert found.train[0].shape == found.test[9_999].shape == (32, 32, 3)
    assert found.classes[0] == "airplane" and np.bincount(found.train.labels).tolist() == [5000] * 10
