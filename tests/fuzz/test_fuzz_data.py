"""A manifest or a .beton file with anything changed is refused, or shows the same; compiled code gets nothing unchecked."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slt_bench.data.beton import JPG, RAW
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import Manifest, read_manifest
from slt_bench.data.prepare import prepare
from slt_bench.data.verify import verify_file
from slt_bench.params.datasets import Images
from tests.fuzz.harness import attempt, fuzzed
from tests.tiny_beton import TinyBeton, tiny_beton
from tests.toys_images import PLAIN, TINY_CROPS, changed, raw_epoch, signed

NUMBERS = st.sampled_from([0, 1, 2, 3, 7, 8, 9, 255, 256, 65_535, 2**16, 2**31, 2**32 - 1, 2**61, 2**63, 2**64 - 1])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70) | NUMBERS | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
Shown = list[bytes]


def shown(directory: Path, manifest: Manifest) -> Shown:
    """All pictures and labels of all splits, and what they are called."""
    found = [json.dumps([manifest.classes, manifest.files["train"].image_size]).encode()]
    for split in ("train", "val", "all", "test"):
        name, indices = manifest.split(split)
        for images, labels in raw_epoch(Loader(verify_file(directory, name, manifest), PLAIN, 64, indices=indices)):
            found += [images.tobytes(), labels.tobytes()]
    return found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Shown]:
    """A prepared dataset, its manifest's text, and what it shows."""
    directory = tmp_path_factory.mktemp("data") / "digits"
    manifest = prepare(Images(source="digits", train_images=30, test_images=12), directory)
    return directory, (directory / "manifest.json").read_text(), shown(directory, manifest)


def check_manifest(dataset: tuple[Path, str, Shown], content: bytes) -> None:
    directory, text, known = dataset
    (directory / "manifest.json").write_bytes(content)

    def read() -> tuple[str, Shown]:
        manifest = read_manifest(directory)
        return manifest.digest, shown(directory, manifest)

    if (found := attempt(read)) is not None:
        assert found[0] != json.loads(text)["digest"] or found[1] == known


def places(node: Any) -> list[tuple[Any, Any]]:
    """All that may be replaced: what holds it, and its key there."""
    inside = list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ())
    return [(node, key) for key, _ in inside] + [place for _, value in inside for place in places(value)]


def edit(draw: Callable[..., Any], root: Any) -> None:
    """Replace, remove, double or exchange something; long lists do not get more of it than other places."""
    found = places(root)
    holders = list({id(holder): holder for holder, _ in found}.values())
    holder = draw(st.sampled_from(holders))
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key, how = draw(st.sampled_from(keys)), draw(st.sampled_from(["replace", "remove", "double", "exchange"]))
    if how == "replace":
        holder[key] = draw(VALUES)
    elif how == "remove":
        del holder[key]
    elif how == "double" and isinstance(holder, list):
        holder.insert(draw(st.integers(0, len(holder))), holder[key])
    elif how == "double":
        holder[draw(st.sampled_from([*keys, "val", "more"]))] = holder[key]
    else:
        other = draw(st.sampled_from(keys))
        holder[key], holder[other] = holder[other], holder[key]


@fuzzed
@given(st.data(), st.booleans())
def test_any_edit_of_a_manifest(dataset: tuple[Path, str, Shown], data: st.DataObject, sign: bool) -> None:
    """Signed with the digest of what it lists, it may show something else; with the digest that it had, it may not."""
    manifest = json.loads(dataset[1])
    for _ in range(data.draw(st.integers(1, 2))):
        if places(manifest):
            edit(data.draw, manifest)
    with suppress(AttributeError, KeyError, TypeError):  # there is nothing to sign
        manifest = signed(manifest) if sign else manifest
    check_manifest(dataset, json.dumps(manifest).encode())


@fuzzed
@given(st.data())
def test_any_bytes_of_a_manifest(dataset: tuple[Path, str, Shown], data: st.DataObject) -> None:
    check_manifest(dataset, changed(data, dataset[1].encode()))


def one_size() -> TinyBeton:
    return tiny_beton([(mode, 20, 70) for mode in (JPG, RAW, JPG, RAW)])


def many_sizes() -> TinyBeton:
    return tiny_beton([(JPG, 40, 70), (RAW, 3, 5), (JPG, 1, 90), (RAW, 30, 8)])


def show_all(path: Path) -> None:
    """Every way of showing a file: twice the same, so that nothing comes from memory that was not written."""
    for view in (TINY_CROPS, PLAIN):
        for seed in (None, 0):
            attempt(partial(show_twice, path, view, seed))


def show_twice(path: Path, view: Any, seed: int | None) -> None:
    one, other = (b"".join(images.tobytes() + labels.tobytes() for images, labels in raw_epoch(Loader(path, view, 1, seed)))
                  for _ in range(2))  # fmt: skip
    assert one == other


@fuzzed
@given(st.data(), st.sampled_from([one_size, many_sizes]))
def test_any_number_in_the_header_of_a_beton_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, make: Callable[[], TinyBeton]
) -> None:
    beton = make()
    for _ in range(data.draw(st.integers(1, 3))):
        part = data.draw(st.sampled_from([beton.header, beton.samples["picture"], beton.samples, beton.table]))
        field = data.draw(st.sampled_from([name for name in part.dtype.names or () if name != "picture"]))
        row = data.draw(st.integers(0, len(part) - 1))
        old, kind = int(part[field][row]), part[field].dtype
        new = data.draw(NUMBERS | st.sampled_from([old + 1, old - 1, 2 * old, old + 24, *part[field].tolist()]))
        part[field][row] = np.array(new % 2 ** (8 * kind.itemsize), "u8").astype(kind)
    show_all(beton.write(tmp_path_factory.getbasetemp() / "forged.beton"))


@fuzzed
@given(st.data(), st.sampled_from([one_size, many_sizes]))
def test_any_bytes_of_a_beton_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, make: Callable[[], TinyBeton]
) -> None:
    beton = make()
    part = data.draw(st.sampled_from(["all", "content", "samples"]))
    path = tmp_path_factory.getbasetemp() / "changed.beton"
    if part == "samples":
        content = np.frombuffer(changed(data, beton.samples.tobytes()).ljust(beton.samples.nbytes, b"\0"), np.uint8)
        beton.samples = content[: beton.samples.nbytes].view(beton.samples.dtype)
    elif part == "content":
        beton.content = changed(data, beton.content).ljust(len(beton.content), b"\0")[: len(beton.content)]
    beton.write(path)
    if part == "all":
        content_of_all = changed(data, path.read_bytes())
        path.unlink()
        path.write_bytes(content_of_all)
    show_all(path)
