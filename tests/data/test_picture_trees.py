"""Folders and archives of pictures: what torchvision's ImageFolder takes is taken, and what is left out is said."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from slt_bench.common.errors import BenchError
from slt_bench.data.sources.image_folder import image_folder
from slt_bench.data.sources.pictures import ENDINGS, Picture, decode
from slt_bench.data.sources.splits import Files, ImageSet, Split
from slt_bench.params.datasets import Images
from tests.toys_images import TarMode, file_of

Made = dict[str, bytes]


def picture(seed: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return file_of(Image.fromarray(pixels).convert(mode), kind)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """train and test of two classes with two pictures each."""
    for number in range(8):
        path = tmp_path / "pets" / ("train", "test")[number % 2] / ("cat", "dog")[number // 4] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return tmp_path / "pets"


def put(root: Path, name: str, content: bytes) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)


def members(root: Path) -> Made:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def link(name: str, target: str, kind: bytes = tarfile.LNKTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tar_of(path: Path, files: Made, *more: tarfile.TarInfo | tuple[str, bytes], mode: TarMode = "w") -> Path:
    """An archive of files, and then of links and files that may stand there twice."""
    with tarfile.open(path, mode) as archive:
        for each in [*files.items(), *more]:
            if isinstance(each, tarfile.TarInfo):
                archive.addfile(each)
            else:
                info = tarfile.TarInfo(each[0])
                info.size = len(each[1])
                archive.addfile(info, BytesIO(each[1]))
    return path


def found(path: Path, **options: Any) -> ImageSet:
    return image_folder(path, Images(source="image_folder", path=str(path), **options))


def same(mine: Split, folder: Path) -> bool:
    """The same pictures in the same order as torchvision's."""
    theirs = ImageFolder(str(folder))
    assert mine.labels.tolist() == theirs.targets
    return all(np.array_equal(mine[index], np.asarray(theirs[index][0])) for index in range(len(theirs)))


def test_pictures_of_all_endings_at_any_depth_are_those_of_torchvision(root: Path, tmp_path: Path) -> None:
    assert ENDINGS == IMG_EXTENSIONS
    kinds = {"tif": "TIFF", "tiff": "TIFF", "pgm": "PPM", "ppm": "PPM", "bmp": "BMP", "webp": "WEBP", "JPEG": "JPEG"}
    for number, (ending, kind) in enumerate(kinds.items()):
        put(root, f"train/cat/more/{number}.{ending}", picture(number, kind, "L" if ending == "pgm" else "RGB"))
        put(root, f"train/cat/more-{number}/even/x.{ending}", picture(50 + number, kind, "L" if ending == "pgm" else "RGB"))
    put(root, "elsewhere.png", picture(99))
    (root / "train" / "dog" / "linked.png").symlink_to(root / "elsewhere.png")
    (root / "train" / "kitten").symlink_to("cat")
    (root / "test" / "kitten").symlink_to(root / "test" / "cat")
    assert same(found(root).train, root / "train") and same(found(root).test, root / "test")
    train = found(root).train
    assert isinstance(train, Files) and len(train.pictures) == 35
    with tarfile.open(tmp_path / "pets.tar", "w") as archive:
        (root / "test" / "kitten").unlink()
        (root / "test" / "kitten").symlink_to("cat")
        (root / "train" / "dog" / "linked.png").unlink()
        (root / "train" / "dog" / "linked.png").symlink_to("../../elsewhere.png")
        archive.add(root, "some/pets")
    for each in (tmp_path / "pets.tar", Path(shutil.copy(tmp_path / "pets.tar", tmp_path / "same"))):
        assert same(found(each).train, root / "train") and same(found(each).test, root / "test")


@pytest.mark.parametrize("archived", [False, True])
def test_what_is_left_out_is_counted_and_named(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], archived: bool
) -> None:
    before = found(root).train.labels.tolist()
    assert "left out" not in capsys.readouterr().out
    for name in ("train/.ipynb_checkpoints/a.png", "train/cat/@eaDir/0.png", "test/dog/._1.png", "train/.DS_Store"):
        put(root, name, b"hidden")
    for name in ("train/cat/a.txt", "train/cat/deep/b.txt", "test/Thumbs.db", "val/cat/0.png"):
        put(root, name, b"something else")
    put(root, "train/beside.png", picture(3))
    path = tar_of(tmp_path / "pets.tar", members(root)) if archived else root
    images = found(path)
    assert images.train.labels.tolist() == before and images.classes == ["cat", "dog"]
    note = capsys.readouterr().out
    assert note.startswith(f"note: left out of {path}: ") and note.count("\n") == 1
    for words in (
        "folder .ipynb_checkpoints in train", "folder @eaDir in train/cat", "folder val", "2 hidden files",
        "3 files that are no pictures (.txt 2, .db 1)", "1 picture outside of the classes",
    ):  # fmt: skip
        assert words in note
    assert images.origin.endswith(", left out: 3 folders, 6 files")


def test_links_in_an_archive_are_what_they_lead_to(root: Path, tmp_path: Path) -> None:
    files = members(root)
    more = [link("train/dog/hard.png", "train/dog/4.png"), link("train/dog/soft.png", "../../test/cat/1.png", tarfile.SYMTYPE)]
    modes: list[TarMode] = ["w", "w:gz"]
    for mode in modes:
        train = found(tar_of(tmp_path / f"pets.{mode[-1]}.tar", files, *more, mode=mode)).train
        assert len(train.labels) == 6
        assert np.array_equal(train[4], decode(Picture(root / "train/dog/4.png")))
        assert np.array_equal(train[5], decode(Picture(root / "test/cat/1.png")))


@pytest.mark.parametrize(
    "bad",
    [
        link("train/dog/bad.png", "train/dog/none.png"),
        link("train/dog/bad.png", "none.png", tarfile.SYMTYPE),
        link("train/dog/bad.png", "/etc/x.png", tarfile.SYMTYPE),
        link("train/dog/bad.png", "bad.png", tarfile.SYMTYPE),
        link("train/dog/bad.png", "", tarfile.FIFOTYPE),
    ],
)
def test_a_link_that_leads_nowhere_is_refused_by_name(root: Path, tmp_path: Path, bad: tarfile.TarInfo) -> None:
    with pytest.raises(BenchError, match=r"train/dog: bad\.png is .*: fix or remove it"):
        found(tar_of(tmp_path / "pets.tar", members(root), bad))


def test_of_members_that_stand_twice_the_last_one_counts(root: Path, tmp_path: Path) -> None:
    again = [("./train/cat/0.png", picture(77)), ("train/cat/0.png", picture(78))]
    train = found(tar_of(tmp_path / "pets.tar", members(root), *again)).train
    put(root, "train/cat/0.png", picture(78))
    assert same(train, root / "train")


def test_names_that_lead_out_of_an_archive(root: Path, tmp_path: Path) -> None:
    absolute = {f"/data/{name}": content for name, content in members(root).items()}
    assert same(found(tar_of(tmp_path / "absolute.tar", absolute)).train, root / "train")
    with pytest.raises(BenchError, match=r"train/\.\./x\.png leads out of the archive"):
        found(tar_of(tmp_path / "up.tar", members(root), ("train/../x.png", b"")))
    with pytest.raises(BenchError, match="lies in more than 100 folders"):
        found(tar_of(tmp_path / "deep.tar", members(root), ("train/" + "a/" * 5000 + "x.png", b"")))


def test_the_first_folder_named_as_a_split_is_the_split(root: Path, tmp_path: Path) -> None:
    files = {f"images/{name}": content for name, content in members(root).items()}
    files["images/train/cat/test/x/9.png"] = picture(9)
    images = found(tar_of(tmp_path / "pets.tar", files))
    assert images.train.labels.tolist() == [0, 0, 0, 1, 1] and len(images.test.labels) == 4
    twice = files | {f"again/{name}": content for name, content in members(root).items()}
    with pytest.raises(BenchError, match=r"split test lies in two places, .*: again/test and .*: images/test"):
        found(tar_of(tmp_path / "twice.tar", twice))


def test_a_shadow_of_a_mac_leaves_no_trace_and_a_damaged_picture_no_address(root: Path, tmp_path: Path) -> None:
    shadow = ("train/cat/._0.png", b"\0\5\26\7")
    assert len(found(tar_of(tmp_path / "pets.tar", members(root), shadow)).train.labels) == 4
    with pytest.raises(BenchError, match=r"unreadable image .*bad\.png: Pillow knows no such picture; fix or remove it$"):
        train = found(tar_of(tmp_path / "bad.tar", members(root), ("train/cat/bad.png", b"\0\5\26\7"))).train
        list(map(train.__getitem__, range(5)))


def bird_for_dog(root: Path) -> None:
    put(root, "test/cat/bird/0.txt", b"")
    shutil.rmtree(root / "test/dog")


def without_dogs(root: Path) -> None:
    for split in ("train", "test"):
        shutil.rmtree(root / split / "dog")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "train/bird").mkdir(), "class bird without a picture in train; class bird not in test"),
        (lambda root: put(root, "test/bird/0.png", picture(1)), "class bird not in train"),
        (bird_for_dog, "class dog not in test"),
        (lambda root: [path.unlink() for path in (root / "test/dog").iterdir()], "class dog without a picture in test"),
        (without_dogs, "has the class cat alone: a classifier"),
        (lambda root: [(root / "train" / each).mkdir() for each in "abcdefg"], "classes a, b, c, d, e and 2 more not in test"),
        (lambda root: (root / "train/cat/up").symlink_to(".."), r"cat/up/cat leads back to a folder that it lies in"),
        (lambda root: (root / "train/cat/x.png").symlink_to("none"), r"train/cat: x\.png is a link to what is not there"),
        (lambda root: os.mkfifo(root / "train/cat/x.png"), r"train/cat: x\.png is no file"),
        (lambda root: put(root, "train/cat/caf\udce9.png", picture(1)), r"cat: the name caf\\udce9\.png is not UTF-8"),
        (lambda root: put(root, "train/caf\udce9/0.png", picture(1)), r"train: the name caf\\udce9 is not UTF-8: rename it"),
    ],
)
def test_what_cannot_be_taken_is_named(root: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(root)
    with pytest.raises(BenchError, match=message):
        found(root)


def test_names_that_are_not_utf8_are_refused_on_one_line(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match=r"train: the name caf\\udce9 is not UTF-8"):
        found(tar_of(tmp_path / "pets.tar", members(root), ("train/caf\udce9/0.png", picture(1))))
    for bad in (tmp_path / "caf\udce9", tmp_path / "\0", tmp_path / ("x" * 5000), tmp_path / "two\nlines"):
        with pytest.raises(BenchError) as refused:
            image_folder(bad, Images(source="image_folder", path="x"))
        assert str(refused.value).isprintable()
