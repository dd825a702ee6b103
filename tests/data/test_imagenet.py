"""The ImageNet release in all its forms, small, with the odd files that the real one has."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slt_bench.common.errors import BenchError
from slt_bench.data import prepare as preparing
from slt_bench.data.beton import BetonFile
from slt_bench.data.encoded_split import EncodedSplit
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import FileName, read_manifest
from slt_bench.data.prepare import prepare
from slt_bench.data.sources.imagenet import DEVKIT_TAR, TRAIN_TAR, VAL_TAR
from slt_bench.data.sources.pictures import decode
from slt_bench.data.sources.registry import load_images
from slt_bench.data.sources.splits import Files, Split
from slt_bench.params.datasets import Images, View
from tests.toys_images import TarMode, raw_epoch

WNIDS = ["n01440764", "n02119789", "n15075141"]  # tench, kit fox and toilet tissue: first, in between and last
IDS = {"n01440764": 449, "n02119789": 1, "n15075141": 1000}  # ILSVRC2012_ID: another order than that of the classes
IMAGENET = Images(source="imagenet", validation=0.34, write_mode="jpg", max_resolution=64)


def odd_picture(number: int) -> bytes:
    """A JPEG in RGB, grey or CMYK, one with an orientation, or a PNG, each of a size of its own."""
    random = np.random.default_rng(number)
    pixels = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((40 + 9 * number, 70), Image.Resampling.BICUBIC)
    file, kind = BytesIO(), number % 5
    if kind == 3:
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by a quarter
        picture.save(file, "JPEG", exif=exif)
    elif kind == 4:
        picture.save(file, "PNG")
    else:
        picture.convert(("RGB", "L", "CMYK")[kind]).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/wnid/*.JPEG and val/wnid/*.JPEG."""
    root = tmp_path_factory.mktemp("tree")
    numbers = iter(range(1000))
    for split, count in (("train", 5), ("val", 3)):
        for wnid in WNIDS:
            (root / split / wnid).mkdir(parents=True)
            for _ in range(count):
                number = next(numbers)
                name = f"{wnid}_{number}.JPEG" if split == "train" else f"ILSVRC2012_val_{number - 14:08d}.JPEG"
                (root / split / wnid / name).write_bytes(odd_picture(number))
    return root


def devkit() -> dict[str, bytes]:
    """Its two files that matter; synsets that are no leaves come last, as in the real one."""
    from scipy.io import savemat

    kinds = [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children")]
    rows = [(IDS[wnid], wnid, "words", "gloss", 0, np.array([])) for wnid in sorted(WNIDS, key=lambda wnid: IDS[wnid])]
    rows.append((1001, "n00001740", "entity", "all", 3, np.array([1, 449, 1000])))
    file = BytesIO()
    savemat(file, {"synsets": np.array(rows, dtype=kinds)[:, None]})
    truth = "".join(f"{IDS[wnid]}\n" for wnid in WNIDS for _ in range(3))
    return {"data/meta.mat": file.getvalue(), "data/ILSVRC2012_validation_ground_truth.txt": truth.encode()}


def tar_of(path: Path, files: dict[str, bytes], mode: TarMode = "w") -> None:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, BytesIO(content))


def flat(tree: Path, root: Path) -> None:
    """The flat validation folder with the unpacked devkit, beside the tree of train."""
    shutil.copytree(tree / "train", root / "train")
    (root / "val").mkdir()
    for file in tree.glob("val/*/*"):
        shutil.copy(file, root / "val" / file.name)
    for name, content in devkit().items():
        path = root / "ILSVRC2012_devkit_t12" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def archives(tree: Path, root: Path) -> None:
    """The official archives: train holds one archive a class."""
    inner = {}
    for wnid in reversed(WNIDS):
        file = root / "inner.tar"
        tar_of(file, {each.name: each.read_bytes() for each in sorted((tree / "train" / wnid).iterdir())})
        inner[f"{wnid}.tar"] = file.read_bytes()
        file.unlink()
    tar_of(root / TRAIN_TAR, inner)
    tar_of(root / VAL_TAR, {each.name: each.read_bytes() for each in sorted(tree.glob("val/*/*"), key=lambda each: each.name)})
    tar_of(root / DEVKIT_TAR, {f"ILSVRC2012_devkit_t12/{name}": content for name, content in devkit().items()}, "w:gz")


TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"


def spoil_devkit(root: Path, name: str, content: bytes) -> None:
    files = devkit() | {name: content}
    tar_of(root / DEVKIT_TAR, {f"ILSVRC2012_devkit_t12/{each}": content for each, content in files.items()}, "w:gz")


def nine(*folders: str) -> dict[str, bytes]:
    """Validation images of which some have the same number."""
    names = [f"{folder}ILSVRC2012_val_{number:08d}.JPEG" for folder in folders for number in range(1, 7)]
    return dict.fromkeys(names[:9], b"")


def extracted(tree: Path, root: Path) -> None:
    shutil.copytree(tree, root, dirs_exist_ok=True)


Form = Callable[[Path, Path], None]


@pytest.mark.parametrize("form", [flat, archives, extracted])
def test_every_form_of_the_release_gives_the_same_dataset(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    root = tmp_path / "release"
    root.mkdir()
    form(tree, root)
    before = sorted(path.name for path in root.rglob("*"))
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tree))
    expected = prepare(IMAGENET, tmp_path / "expected")
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(root))
    manifest = prepare(IMAGENET, tmp_path / "made", workers=2)
    assert manifest == expected and manifest.classes == WNIDS
    assert manifest.counts() == {"train": 10, "val": 5, "test": 9}
    assert [manifest.files[name].per_class for name in ("train", "test")] == [[5, 5, 5], [3, 3, 3]]
    assert sorted(path.name for path in root.rglob("*")) == before  # nothing is unpacked
    origin = (tmp_path / "made" / "origin.txt").read_text()
    assert "15 + 9 images" in origin and (TRAIN_TAR in origin) == (form is archives)


@pytest.mark.parametrize("form", [archives, extracted])
def test_an_evaluation_sees_the_files_of_the_release(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    """Within 1 of 255 of torchvision's resize and crop of them, however small and coarse training images are stored."""
    from torchvision.transforms.v2 import functional as tv

    (tmp_path / "release").mkdir()
    form(tree, tmp_path / "release")
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tmp_path / "release"))
    prepare(IMAGENET.model_copy(update={"jpeg_quality": 5, "max_resolution": 16}), tmp_path / "made")
    view = View(mean=[0.0] * 3, std=[1.0] * 3, resolution=24, resize=30)
    ((shown, _),) = list(raw_epoch(Loader(tmp_path / "made" / "test.beton", view, 64)))
    for ours, file in zip(shown, sorted(tree.glob("val/*/*")), strict=True):
        theirs = tv.center_crop(tv.resize(Image.open(file).convert("RGB"), [30]), [24])
        assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


def test_odd_files_are_what_torchvision_makes_of_them(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import ImageFolder

    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tree))
    found, theirs = load_images(IMAGENET), ImageFolder(str(tree / "train"))
    assert found.classes == theirs.classes and found.train.labels.tolist() == theirs.targets
    for index in range(len(theirs)):
        assert np.array_equal(found.train[index], np.asarray(theirs[index][0]))


def test_the_validation_images_lie_in_their_own_class(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "release").mkdir()
    flat(tree, tmp_path / "release")
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tmp_path / "release"))
    test = load_images(IMAGENET).test
    assert isinstance(test, Files)
    names = [picture.path.name for picture in test.pictures]
    for label, wnid in enumerate(WNIDS):
        here = [name for name, own in zip(names, test.labels, strict=True) if own == label]
        assert here == sorted(path.name for path in (tree / "val" / wnid).iterdir())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / DEVKIT_TAR).unlink(), "need the development kit: .* has neither ILSVRC2012_devkit_t12/ nor"),
        (lambda root: (root / DEVKIT_TAR).write_bytes(b"?"), "ILSVRC2012_devkit_t12.tar.gz is damaged"),
        (lambda root: spoil_devkit(root, "data/meta.mat", b""), "data/meta.mat cannot be read"),
        (lambda root: spoil_devkit(root, "data/meta.mat", b"MATLAB 5.0" * 50), "data/meta.mat cannot be read"),
        (lambda root: spoil_devkit(root, TRUTH, b"1\ntwo\n"), "holds something else than numbers"),
        (lambda root: (root / VAL_TAR).unlink(), "holds no ImageNet validation images: neither val/WNID"),
        (lambda root: (root / TRAIN_TAR).unlink(), "holds no ImageNet training images: neither train/WNID"),
        (lambda root: (root / TRAIN_TAR).write_bytes((root / TRAIN_TAR).read_bytes()[:-11_000]), "cannot be read as a tar"),
        (lambda root: tar_of(root / VAL_TAR, {"ILSVRC2012_val_00000001.JPEG": b""}), "1 validation images, but 9 lines"),
        (lambda root: tar_of(root / VAL_TAR, nine("x/", "y/")), "two validation images have the number 1: keep one"),
        (lambda root: tar_of(root / TRAIN_TAR, {"n01440764.tar": b""}, "w:gz"), "img_train.tar is compressed: decompress it"),
        (lambda root: tar_of(root / DEVKIT_TAR, {f"ILSVRC2012_devkit_t12/{TRUTH}/x": b""}, "w:xz"), "t12.tar.gz is damaged or"),
    ],
)
def test_what_is_missing_or_damaged_is_named(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], message: str
) -> None:
    archives(tree, tmp_path)
    spoil(tmp_path)
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tmp_path))
    with pytest.raises(BenchError, match=message):
        load_images(IMAGENET)


def test_a_class_without_validation_images_is_named(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extracted(tree, tmp_path)
    shutil.rmtree(tmp_path / "val" / WNIDS[1])
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tmp_path))
    with pytest.raises(BenchError, match="train has 3 classes, val 2; not in both: n02119789"):
        load_images(IMAGENET)


def test_a_class_without_a_picture_is_named(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extracted(tree, tmp_path)
    for file in (tmp_path / "train" / WNIDS[2]).iterdir():
        file.rename(file.with_suffix(".txt"))
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tmp_path))
    with pytest.raises(BenchError, match=r"no picture in train/n15075141$"):
        load_images(IMAGENET)


@pytest.mark.parametrize("form", [flat, archives, extracted])
def test_what_is_no_class_of_the_release_is_left_out_by_name(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: Form
) -> None:
    form(tree, tmp_path)
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tmp_path))
    before = load_images(IMAGENET)
    assert "left out" not in capsys.readouterr().out + before.origin
    if form is archives:
        with tarfile.open(tmp_path / TRAIN_TAR, "a") as archive:
            for name in ("._n01440764.tar", "readme.txt"):
                archive.addfile(tarfile.TarInfo(name))
    else:
        for name in (".thumbs", "notes"):
            (tmp_path / "train" / name).mkdir()
        (tmp_path / "val" / "readme.txt").write_text("no picture")
    after, note = load_images(IMAGENET), capsys.readouterr().out
    assert after.classes == before.classes and after.test.labels.tolist() == before.test.labels.tolist()
    expected = ["1 hidden file"] if form is archives else ["folder .thumbs in train, folder notes in train"]
    assert all(words in note for words in [*expected, "1 file that is no picture (.txt 1)"])
    assert after.origin == before.origin + (", left out: 2 files" if form is archives else ", left out: 2 folders, 1 file")


def test_no_release_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLT_BENCH_IMAGENET", raising=False)
    with pytest.raises(BenchError, match=r"cannot be downloaded: name the directory .* in the variable SLT_BENCH_IMAGENET"):
        load_images(IMAGENET)


def test_an_unreadable_picture_in_an_archive_is_named(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives(tree, tmp_path)
    content = (tmp_path / TRAIN_TAR).read_bytes()
    place = content.index((tree / "train" / WNIDS[1] / f"{WNIDS[1]}_6.JPEG").read_bytes())
    (tmp_path / TRAIN_TAR).write_bytes(content[:place] + b"garbage" * 9 + content[place + 63 :])
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tmp_path))
    with pytest.raises(BenchError, match=r"unreadable image .*ILSVRC2012_img_train.tar: n02119789.tar: n02119789_6.JPEG"):
        prepare(IMAGENET, tmp_path / "made")


def test_space_is_estimated_from_what_images_take(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tree))
    prepare(IMAGENET, tmp_path / "made")
    taken = sum(int(BetonFile(tmp_path / "made" / f"{name}.beton").sizes.sum()) for name in ("train", "test"))
    for free, enough in ((int(1.1 * taken), False), (int(1.3 * taken), True)):
        usage = shutil._ntuple_diskusage(0, 0, (64 << 20) + free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        with nullcontext() if enough else pytest.raises(BenchError, match="no space"):
            preparing._check_space([EncodedSplit(split, IMAGENET, name) for name, split in splits().items()], tmp_path)


def splits() -> dict[FileName, Split]:
    found = load_images(IMAGENET)
    return {"train": found.train, "test": found.test}


def test_what_a_killed_writer_left_is_removed(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tree))
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / ".train.beton.123.tmp").write_bytes(b"half")
    prepare(IMAGENET, tmp_path / "made")
    names = {"lock", "train.beton", "test.beton", "manifest.json", "origin.txt"}
    assert {path.name for path in (tmp_path / "made").iterdir()} == names


def test_a_folder_sorted_in_part_is_refused(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extracted(tree, tmp_path)
    file = next((tmp_path / "val").glob("*/*"))
    file.rename(tmp_path / "val" / file.name)
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tmp_path))
    with pytest.raises(BenchError, match="sorted into classes in part: 1 images lie beside"):
        load_images(IMAGENET)


def test_an_interrupted_writing_leaves_nothing_that_looks_whole(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLT_BENCH_IMAGENET", str(tree))
    prepare(IMAGENET, tmp_path / "made")

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ffcv.writer.handle_sample", stop)
    for directory in ("made", "new"):
        with pytest.raises(KeyboardInterrupt):
            prepare(IMAGENET, tmp_path / directory)
        with pytest.raises(BenchError, match="is not prepared"):
            read_manifest(tmp_path / directory)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["lock"]


@pytest.mark.skipif("SLT_BENCH_IMAGENET_SAMPLE" not in os.environ, reason="SLT_BENCH_IMAGENET_SAMPLE names no images")
def test_real_classes_are_in_the_standard_order() -> None:
    """The names in the files, in our order of their wnids, are torchvision's list of categories."""
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    found = load_images(Images(source="imagenet_sample", test_images=1))
    assert len(found.classes) == 1000 and found.classes[0] == WNIDS[0] and found.classes[-1] == WNIDS[-1]
    assert isinstance(found.train, Files) and isinstance(found.test, Files)
    pictures = sorted([*found.train.pictures, *found.test.pictures], key=lambda picture: picture.name)
    names = [Path(picture.name).stem.split("_", 1)[1].replace("_", " ").lower() for picture in pictures]
    same = sum(name == category.lower() for name, category in zip(names, _IMAGENET_CATEGORIES, strict=True))
    assert same > 900, [pair for pair in zip(names, _IMAGENET_CATEGORIES, strict=True) if pair[0] != pair[1].lower()][:20]
    assert decode(pictures[0]).shape[2] == 3
