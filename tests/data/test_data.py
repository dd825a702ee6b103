"""Data: the same images give the same manifest; loaders give the same bytes; damage is named."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slt_bench.common import random
from slt_bench.common.compiled import cache_directory
from slt_bench.common.errors import BenchError
from slt_bench.data import prepare as preparing
from slt_bench.data.beton_writer import BetonWriter
from slt_bench.data.decode.batch import fill_batch
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import FILES, read_manifest
from slt_bench.data.prepare import prepare
from slt_bench.data.sources.registry import load_images
from slt_bench.data.sources.splits import balanced_indices
from slt_bench.data.verify import verify_file
from tests.toys_images import DIGITS, labels_of, pictures, raw_epoch


def epoch_bytes(loader: Loader, number: int) -> bytes:
    return b"".join(images.numpy().tobytes() + labels.numpy().tobytes() for images, labels in loader.epoch(number))


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
        batches = raw_epoch(Loader(path, DIGITS, batch, seed=0, indices=indices), 2)
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
    order = random.permutation(0, "order", 0, len(plain))
    seen = 0
    for images, _ in raw_epoch(Loader(digits_directory / "train.beton", DIGITS, 719, seed=0), 0):
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


def test_compiled_code_is_cached(digits_directory: Path) -> None:
    """Where it is not, every process compiles for many seconds; numba says so, or says nothing."""
    list(Loader(digits_directory / "train.beton", DIGITS, 64, seed=0).epoch())
    dispatcher: Any = fill_batch
    assert dispatcher.stats.cache_path and list(Path(dispatcher.stats.cache_path).glob("batch.fill_batch*.nbc"))
    assert sum(dispatcher.stats.cache_hits.values()) + sum(dispatcher.stats.cache_misses.values()) > 0


def test_the_cache_of_compiled_code_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert Path(cache_directory(tmp_path)).parent == tmp_path


@pytest.mark.slow
def test_importing_ffcv_changes_nothing_of_torch_and_numba() -> None:
    script = (
        "import torch; torch.set_num_threads(3)\n"
        "import slt_bench.data.prepare, slt_bench.data.loader, sys\n"
        "assert 'ffcv' in sys.modules and torch.get_num_threads() == 3, torch.get_num_threads()\n"
        "import numba.typed; assert numba.typed.Dict is not dict\n"
    )
    done = subprocess.run([sys.executable, "-W", "error::Warning:numba", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
def test_a_damaged_beton_is_named(
    digits_directory: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    directory = shutil.copytree(digits_directory, tmp_path / "digits")
    damage(directory / "test.beton")
    manifest = read_manifest(directory)
    verify_file(directory, "train", manifest)
    with pytest.raises(BenchError, match=message):
        verify_file(directory, "test", manifest)


def test_a_whole_file_is_read_once_and_again_when_it_was_touched(
    digits_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = shutil.copytree(digits_directory, tmp_path / "digits")
    manifest, read = read_manifest(directory), list[Path]()

    def expected(path: Path) -> str:
        read.append(path)
        return manifest.files["test"].sha256

    monkeypatch.setattr("slt_bench.data.verify.sha256", expected)
    verify_file(directory, "test", manifest)
    verify_file(directory, "test", manifest)
    assert len(read) == 1
    os.utime(directory / "test.beton", (1, 1))
    verify_file(directory, "test", manifest)
    assert len(read) == 2


def test_an_error_while_making_batches_reaches_the_caller(digits_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("in the thread")

    monkeypatch.setattr("slt_bench.data.decode.transform.fill_batch", fail)
    with pytest.raises(RuntimeError, match="in the thread"):
        list(Loader(digits_directory / "train.beton", DIGITS, 64, seed=0).epoch(0))


def test_a_missing_or_damaged_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="dataset nothing is not prepared"):
        read_manifest(tmp_path / "nothing")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BenchError, match=r"manifest\.json is damaged"):
        read_manifest(tmp_path)


def test_a_dataset_of_another_seed_holds_other_images_out() -> None:

    split, other = load_images(DIGITS.images).train, DIGITS.images.model_copy(update={"seed": 1})
    assert set(preparing._held_out(split.labels, other)) != set(preparing._held_out(split.labels, DIGITS.images))
    parts = [preparing._subset(split, 100, "train", seed, "subset") for seed in (0, 1)]
    assert parts[0].labels.tolist() != parts[1].labels.tolist()


def test_what_reads_back_differently_is_no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = BetonWriter.write

    def damaged(self: BetonWriter) -> None:
        write(self)
        content = bytearray(Path(self.fname).read_bytes())
        content[len(content) // 2] ^= 0xFF
        Path(self.fname).write_bytes(content)

    monkeypatch.setattr(BetonWriter, "write", damaged)
    with pytest.raises(BenchError, match="reads back differently"):
        preparing.prepare(DIGITS.images, tmp_path / "digits")
    assert not (tmp_path / "digits/manifest.json").exists()


def test_the_digest_of_images_is_of_their_labels_too() -> None:
    digests = set()
    for shape, label in (((1, 2, 3), 0), ((1, 2, 3), 1), ((1, 3, 2), 0), ((0, 2, 3), 0)):
        hasher = hashlib.sha256()
        preparing._add_image(hasher, shape, label, np.zeros(18, np.uint8))
        digests.add(hasher.hexdigest())
    assert len(digests) == 4
