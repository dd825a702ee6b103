"""A damaged ticket is refused before anything is built from it, or gives the identical network."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import slt_bench
from slt_bench.common.errors import BenchError
from slt_bench.ticket.file import read_ticket, save_ticket
from tests.toys_tickets import Change, edited, make_child_ticket, make_ticket


def saved(tmp_path: Path, **form: Any) -> bytes:
    save_ticket(make_ticket(), tmp_path / "ticket", **form)
    return (tmp_path / "ticket").read_bytes()


def test_an_edit_that_changes_nothing_gives_the_same_network(tmp_path: Path) -> None:
    content = saved(tmp_path)
    (tmp_path / "again").write_bytes(edited(content))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(*(slt_bench.load_ticket(tmp_path / name)(images) for name in ("ticket", "again")))


@pytest.mark.parametrize(
    ("name", "found", "allowed"),
    [
        ("batch_norm_mean", "I32", "F32 or F16"),
        ("batch_norm_var", "U32", "F32 or F16"),
        ("batch_norm_var", "F8_E4M3", ""),
        ("mask", "I8", "U8"),
        ("mask", "BOOL", "U8"),
    ],
)
def test_another_type_of_a_tensor_is_refused_by_name(tmp_path: Path, name: str, found: str, allowed: str) -> None:
    content = saved(tmp_path)
    (tmp_path / "ticket").write_bytes(edited(content, lambda header: header[name].update(dtype=found)))
    expected = f"tensor {name} has type {found}, allowed is {allowed}" if allowed else "is no ticket, or a damaged one"
    with pytest.raises(BenchError, match=expected):
        read_ticket(tmp_path / "ticket")


def test_half_precision_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    content = saved(tmp_path, statistics="float16")
    (tmp_path / "ticket").write_bytes(edited(content, lambda header: header["batch_norm_mean"].update(dtype="BF16")))
    with pytest.raises(BenchError, match="batch_norm_mean has type BF16, allowed is F32 or F16"):
        read_ticket(tmp_path / "ticket")


SPECS: dict[str, tuple[Change, str]] = {
    "no pixels": (lambda spec: spec.update(image_size=0), "image_size in its spec"),
    "too few pixels": (lambda spec: spec.update(image_size=1), "conv2 needs images of 2 pixels, not 1"),
    "a million pixels": (lambda spec: spec.update(image_size=10**6), "image_size in its spec"),
    "more pixels": (lambda spec: spec.update(image_size=60_000), "the network of its spec has"),
    "wide": (lambda spec: spec["network"].update(width=16), "the network of its spec has"),
    "deeper": (lambda spec: spec["network"].update(kind="resnet101"), "the network of its spec has"),
    "no class": (lambda spec: spec.update(classes=[]), "classes in its spec"),
    "another class": (lambda spec: spec["classes"].__setitem__(0, "x"), "does not have the digest"),
    "a class that is no text": (lambda spec: spec["classes"].__setitem__(0, "\ud800"), "no Unicode"),
    "NaN": (lambda spec: spec["mean"].__setitem__(0, float("nan")), "mean"),
    "a huge number": (lambda spec: spec.update(seed=10**400), "seed in its spec"),
    "format": (lambda spec: spec.update(format=3), "ticket format 3 is not known to this version"),
    "a format of more than there is": (lambda spec: spec.update(format=2), "its format is 2, but it has no signs"),
    "true format": (lambda spec: spec.update(format=True), "ticket format True is not known"),
    "frozen away": (lambda spec: spec["source"].update(prune_ratio=0.9, lock_ratio=0.9), "more than 1"),
    "more locked": (lambda spec: spec["source"].update(lock_ratio=0.3), "pruned or locked in its header"),
    "other roles": (lambda spec: spec["source"].update(layout="from_ticket"), "tensor roles is missing"),
    "weights": (lambda spec: spec.update(learned="weights"), "tensor weights is missing"),
    "unknown key": (lambda spec: spec.update(x=1), "x in its spec"),
}


@pytest.mark.parametrize("what", SPECS)
def test_a_spec_is_checked_before_anything_is_built(tmp_path: Path, what: str) -> None:
    change, message = SPECS[what]
    (tmp_path / "ticket").write_bytes(edited(saved(tmp_path), inner=lambda header: change(header["spec"])))
    begun = time.perf_counter()
    with pytest.raises(BenchError, match=message):
        read_ticket(tmp_path / "ticket")
    assert time.perf_counter() - begun < 5


HEADERS: dict[str, tuple[Change, str]] = {
    "edges": (lambda header: header["edges"].append(5), "its header lists"),
    "negative": (lambda header: header["edges"].__setitem__(0, -5), "edges in its header is no list of counts"),
    "float": (lambda header: header["pruned"].__setitem__(0, 0.0), "pruned in its header is no list of counts"),
    "text": (lambda header: header.update(locked="many"), "locked in its header is no list of counts"),
    "pruned": (lambda header: header["pruned"].__setitem__(0, header["pruned"][0] + 1), "pruned or locked in its header"),
    "kept": (lambda header: header.update(kept=[1]), "kept in its header belongs to an entropy-coded mask"),
    "no digest": (lambda header: header.pop("digest"), "its header has no digest"),
    "unknown key": (lambda header: header.update(x=1), "unknown key 'x'"),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_is_checked_before_anything_is_built(tmp_path: Path, what: str) -> None:
    change, message = HEADERS[what]
    (tmp_path / "ticket").write_bytes(edited(saved(tmp_path), inner=change))
    with pytest.raises(BenchError, match=message):
        read_ticket(tmp_path / "ticket")


@pytest.mark.parametrize("kept", [[10**9], [-1], [10**9] * 5, "5", None])
def test_counts_of_a_coded_mask_are_checked_before_it_is_decoded(tmp_path: Path, kept: Any) -> None:
    content = saved(tmp_path, mask="coded")
    (tmp_path / "ticket").write_bytes(edited(content, inner=lambda header: header.update(kept=kept)))
    with pytest.raises(BenchError, match="kept in its header"):
        read_ticket(tmp_path / "ticket")


@pytest.mark.parametrize("values", [[float("nan")], [float("inf")], [-1.0]])
def test_statistics_that_no_batch_norm_has_are_refused(tmp_path: Path, values: list[float]) -> None:
    ticket = make_ticket()
    ticket.batch_norm_var[0] = 0.123456
    save_ticket(ticket, tmp_path / "ticket")
    old, new = (torch.tensor(each).numpy().tobytes() for each in ([0.123456], values))
    (tmp_path / "ticket").write_bytes((tmp_path / "ticket").read_bytes().replace(old, new))
    with pytest.raises(BenchError, match="batch_norm_var"):
        read_ticket(tmp_path / "ticket")


def test_roles_of_another_length_are_refused(tmp_path: Path) -> None:
    save_ticket(make_child_ticket(), tmp_path / "ticket")
    content = (tmp_path / "ticket").read_bytes()

    def swap(header: dict[str, Any]) -> None:
        header["roles"], header["mask"] = header["mask"], header["roles"]

    (tmp_path / "ticket").write_bytes(edited(content, swap))
    with pytest.raises(BenchError, match="damaged"):
        read_ticket(tmp_path / "ticket")


def test_a_network_that_is_too_large_is_refused_and_not_drawn(tmp_path: Path) -> None:
    content = saved(tmp_path)
    spec = make_ticket().spec.model_copy(update={"image_size": 8000})
    sizes = [layer.size for layer in spec.architecture()[1]]
    assert sum(sizes) > 1 << 27

    def grow(header: dict[str, Any]) -> None:
        header["spec"]["image_size"], header["edges"] = 8000, sizes

    (tmp_path / "ticket").write_bytes(edited(content, inner=grow))
    with pytest.raises(BenchError, match=r"pruned or locked|too large|entries instead of"):
        read_ticket(tmp_path / "ticket")


@pytest.mark.slow
def test_damage_is_noticed_without_assertions_too(tmp_path: Path) -> None:
    content = saved(tmp_path)
    paths = [tmp_path / f"ticket{number}" for number in range(4)]
    paths[0].write_bytes(edited(content, lambda header: header["batch_norm_mean"].update(dtype="I32")))
    paths[1].write_bytes(edited(content, inner=lambda header: header["spec"].update(seed=4)))
    paths[2].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    paths[3].write_bytes(edited(content, inner=lambda header: header["edges"].pop()))
    script = (
        "import sys\nfrom slt_bench import load_ticket\nfrom slt_bench.common.errors import BenchError\n"
        "for path in sys.argv[1:]:\n    try:\n        load_ticket(path)\n        print('accepted', path)\n"
        "    except BenchError:\n        print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-O", "-c", script, *map(str, paths)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused"] * 4
