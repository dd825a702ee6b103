"""Random trees of pictures, on disk and in archives: refused on one clear line, or what torchvision's ImageFolder loads."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset, pil_loader

from slt_bench.data.beton import JPG
from slt_bench.data.decode import jpeg
from slt_bench.data.decode.jpeg_parts import cut
from slt_bench.data.encode import encode_original
from slt_bench.data.sources.image_folder import image_folder
from slt_bench.data.sources.pictures import Picture
from slt_bench.data.sources.splits import ImageSet
from slt_bench.params.datasets import Images
from tests.fuzz.harness import attempt, fuzzed
from tests.toys_images import TarMode

Step = tuple[str, str, str | bytes]  # file, hard, link or folder; its path; its content or target
FOLDERS = ["cat", "cat", "cat", "dog", "dog", "dog", "é", ".hidden", "@eaDir", "caf\udce9", "two\nlines"]
NAMES = ["0.png", "1.png", "x.JPG", "é.tif", "a b.pgm", "._0.png", "@x.png", "notes.txt", "noend", "\udce9.png", "up", "more"]
TARGETS = ["0.png", "../cat/0.png", "../dog", "../../test/cat/1.png", "..", ".", "nothing", "/nothing/0.png", "more", ""]


@cache
def kinds() -> list[bytes]:
    """Pictures in many modes and formats, whole and damaged, and what is none."""
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8))
    made = [(mode, kind) for mode in ("RGB", "L", "CMYK") for kind in ("JPEG", "TIFF")] + [("F", "TIFF"), ("I", "TIFF")]
    made += [(mode, "PNG") for mode in ("RGB", "L", "P", "1", "RGBA", "LA", "I;16")] + [("L", "PPM"), ("I;16", "PPM")]
    found = []
    for mode, kind in made:
        file = BytesIO()
        (pixels.convert("I").convert(mode) if mode in ("I", "I;16") else pixels.convert(mode)).save(file, kind)
        found.append(file.getvalue())
    return [*found, *(each[: len(each) * 2 // 3] for each in found[::3]), b"", b"no picture", b"\0\5\26\7"]


whole = st.sampled_from(kinds()[:7])
content = st.one_of(whole, whole, st.sampled_from(kinds()))
folders = st.lists(st.sampled_from([*FOLDERS, "more", "more"]), max_size=2)
places = st.builds(
    lambda split, label, above, name: "/".join([split, label, *above, name]),
    st.sampled_from(["train", "test"]), st.sampled_from(FOLDERS), folders, st.sampled_from(NAMES),
)  # fmt: skip
above = st.sampled_from(["readme.txt", "train/x.png", "val/cat/0.png", "test", "train/cat", ".git/a/0.png", "0.png"])
paths = st.one_of(*[places] * 8, above)
steps = st.one_of(
    st.tuples(st.just("file"), paths, content), st.tuples(st.just("file"), paths, content),
    st.tuples(st.just("file"), paths, content), st.tuples(st.just("folder"), paths, st.just("")),
    st.tuples(st.just("link"), paths, st.sampled_from(TARGETS)), st.tuples(st.just("hard"), paths, paths),
)  # fmt: skip
whole_tree = [("file", f"{split}/{label}/0.png", kinds()[8]) for split in ("train", "test") for label in ("cat", "dog")]
cuts = st.tuples(st.integers(0, 20_000), st.sampled_from([1, tarfile.BLOCKSIZE]))
firsts = st.sampled_from([whole_tree, whole_tree, whole_tree, []])
trees = st.builds(lambda first, more: [*first, *more], firsts, st.lists(steps, max_size=6))


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """The loops are compiled before anybody looks at the clock."""
    assert encode_original(Picture(Path("x.jpg"), content=kinds()[0])).mode == JPG


@contextmanager
def somewhere() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def build(root: Path, tree: Sequence[Step]) -> None:
    """On disk, as far as it can be."""
    for kind, name, what in tree:
        path = root / name
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "folder":
                path.mkdir()
            elif kind == "link":
                path.symlink_to(str(what))
            elif kind == "hard":
                path.hardlink_to(root / str(what))
            else:
                assert isinstance(what, bytes)
                path.write_bytes(what)


def archive(path: Path, tree: Sequence[Step], prefix: str, mode: TarMode) -> None:
    """All of it, what cannot be on disk included."""
    types = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}
    with tarfile.open(path, mode) as made:
        for kind, name, what in tree:
            info = tarfile.TarInfo(prefix + name)
            info.type, info.mode, data = types[kind], 0o755, what if isinstance(what, bytes) else b""
            info.size = len(data)
            if isinstance(what, str):
                info.linkname = prefix * (kind == "hard") + what
            made.addfile(info, BytesIO(data))


FILTER: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}  # from Python 3.11.4 on
ABSOLUTE = ["/"] if FILTER else []  # without a filter, such names would be extracted into the root directory


def extract(path: Path, target: Path) -> None:
    """As tar does it: what is there gives way to what comes later."""
    with tarfile.open(path) as made:
        for member in made:
            place = target / member.name.lstrip("/")
            if not member.isdir() and (place.is_symlink() or place.is_file()):
                place.unlink()
            if member.islnk() and (target / member.linkname.lstrip("/")).is_dir():
                continue  # which no file system has
            with suppress(KeyError):  # a link to what is not there
                made.extract(member, target, **FILTER)


def remove_hidden(root: Path) -> None:
    for path in sorted(root.rglob("*"), key=lambda each: len(each.parts)):
        if path.name.startswith((".", "@")) and (path.is_symlink() or path.exists()):
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)


def theirs(root: Path) -> dict[str, tuple[list[str], list[tuple[str, int]]]]:
    """split -> classes and (path, label) as ImageFolder finds them."""
    found = {}
    for split in ("train", "test"):
        with suppress(FileNotFoundError, NotADirectoryError):
            classes, numbers = find_classes(root / split)
            found[split] = classes, make_dataset(root / split, numbers, IMG_EXTENSIONS, allow_empty=True)
    return found


def check(images: ImageSet, root: Path) -> None:
    """The same classes, pictures and labels in the same order; each is refused, or has the same pixels."""
    remove_hidden(root)
    found = theirs(root)
    for name, split in (("train", images.train), ("test", images.test)):
        classes, samples = found[name]
        assert images.classes == classes and split.labels.tolist() == [label for _, label in samples]
        assert set(split.labels.tolist()) == set(range(len(classes)))
        for index, (path, _) in enumerate(samples):
            mine = attempt(partial(split.__getitem__, index))
            try:
                expected = np.asarray(pil_loader(path))
            except Exception:  # whatever Pillow raises
                assert mine is None
                continue
            with Image.open(path) as image:
                deep = image.mode.startswith(("I", "F"))
            assert deep or (mine is not None and np.array_equal(mine, expected))


def is_plain(tree: Sequence[Step]) -> bool:
    """Whether nothing in it gives a reason to refuse it, apart from its classes."""
    return all(kind == "file" and "\udce9" not in name for kind, name, _ in tree)


def load(path: Path) -> ImageSet | None:
    return attempt(lambda: image_folder(path, Images(source="image_folder", path="x")))


@fuzzed
@given(trees)
def test_folders_are_refused_or_loaded_as_torchvision_loads_them(tree: Sequence[Step]) -> None:
    with somewhere() as root:
        build(root, tree)
        images = load(root)
        if images is not None:
            check(images, root)
        elif is_plain(tree):
            remove_hidden(root)
            found = theirs(root)
            full = {split: {label for _, label in samples} == set(range(len(classes))) and bool(classes)
                    for split, (classes, samples) in found.items()}  # fmt: skip
            assert len(full) < 2 or not all(full.values()) or found["train"][0] != found["test"][0]


@fuzzed
@given(
    trees,
    st.sampled_from(["", "", "", "./", "./", "some/data/", "some/data/", "../", *ABSOLUTE]),
    st.sampled_from(["w", "w:gz"]),
    cuts,
)
def test_archives_are_refused_or_loaded_as_their_files_would_be(
    tree: Sequence[Step], prefix: str, mode: TarMode, cut: tuple[int, int]
) -> None:
    with somewhere() as root:
        archive(root / "images.tar", tree, prefix, mode)
        images = load(root / "images.tar")
        if images is not None:
            extract(root / "images.tar", root / "out")
            check(images, root / "out" / prefix.lstrip("/"))
        data = (root / "images.tar").read_bytes()
        (root / "images.tar").write_bytes(data[: cut[0] % len(data) // cut[1] * cut[1]])
        again = load(root / "images.tar")
        if again is not None:  # what was cut off was behind the end
            assert images is not None and again.train.labels.tolist() == images.train.labels.tolist()
            assert again.test.labels.tolist() == images.test.labels.tolist()


@fuzzed
@given(trees, st.lists(st.tuples(st.integers(0, 2**31), st.integers(1, 255)), min_size=1, max_size=4))
def test_a_damaged_archive_raises_nothing_but_a_clear_refusal(tree: Sequence[Step], damage: list[tuple[int, int]]) -> None:
    with somewhere() as root:
        archive(root / "images.tar", tree, "", "w")
        data = bytearray((root / "images.tar").read_bytes())
        for place, change in damage:
            data[place % len(data)] ^= change
        (root / "images.tar").write_bytes(data)
        if (images := load(root / "images.tar")) is not None:
            for split in (images.train, images.test):
                for index in range(len(split.labels)):
                    attempt(partial(split.__getitem__, index))


options = st.fixed_dictionaries(
    {"quality": st.integers(1, 100), "subsampling": st.integers(0, 2), "progressive": st.booleans(), "optimize": st.booleans()},
    optional={"restart_marker_blocks": st.integers(1, 9), "restart_marker_rows": st.integers(1, 2)},
)
damages = st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), max_size=2)


@fuzzed
@given(st.sampled_from(["RGB", "L", "CMYK"]), options, st.integers(1, 70), st.integers(1, 90), damages, st.data())
def test_a_stored_original_is_shown_as_pillow_decodes_it(
    mode: str, how: dict[str, object], height: int, width: int, damage: list[tuple[int, int]], data: st.DataObject
) -> None:
    """However it was encoded or damaged, as a whole and in the parts that training cuts out."""
    file = BytesIO()
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **how)
    encoded = bytearray(file.getvalue())
    for place, value in damage:
        encoded[place % len(encoded)] = value
    stored = attempt(lambda: encode_original(Picture(Path("x.jpg"), content=bytes(encoded))))
    if stored is None:
        return
    expected = np.asarray(Image.open(BytesIO(encoded)).convert("RGB"))
    height, width = expected.shape[:2]
    assert (stored.height, stored.width) == (height, width)
    assert stored.mode == JPG or damage or mode == "CMYK"
    if stored.mode != JPG:
        assert stored.data.tobytes() == expected.tobytes()
        return
    assert stored.data.tobytes() == bytes(encoded) and jpeg.fits(stored.data, height, width)
    h, w = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    box = np.array([data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w)), h, w])
    out, starts = np.empty(stored.data.size + 4096, np.uint8), np.empty(10_000, np.int64)
    size, top, left, rows, columns = cut(stored.data, height, width, box, out, starts)
    part = np.empty((rows, columns, 3), np.uint8)
    assert jpeg.decode(out if size else stored.data, size or stored.data.size, rows, columns, part.reshape(-1))
    seen = part[box[0] - top :, box[1] - left :][:h, :w]
    assert np.abs(seen.astype(int) - expected[box[0] : box[0] + h, box[1] : box[1] + w]).max() <= 1
