"""docs/ticket-format.md is enough to read a ticket: a reader that was written from it, with nothing of the package."""

from __future__ import annotations

import hashlib
import json
import struct
from math import prod, sqrt
from pathlib import Path
from typing import Any

import constriction
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.special import ndtri

from slt_bench.ticket.file import MaskCoding, save_ticket
from tests.toys_tickets import EXTRAS, SOURCES, make_child_ticket, make_rich_ticket, make_ticket

SHAPES = [(8, 3, 3, 3), (8, 8, 3, 3), (32, 128), (32, 32), (3, 32)]  # conv2, width 1/8, 8 pixels, 3 classes
TYPES = {"F32": "<f4", "F16": "<f2", "U8": "u1"}
FREE, PRUNED, LOCKED = 0, 1, 2


def words(seed: int, purpose: str, index: int, count: int) -> NDArray[np.uint64]:
    name = hashlib.sha256(f"slt-bench/{seed}/{purpose}/{index}".encode()).digest()
    return np.random.Philox(key=int.from_bytes(name[:16], "little")).random_raw(count)


def weights_of(
    spec: dict[str, Any], index: int, shape: tuple[int, ...], purpose: str = "weights"
) -> NDArray[np.float32]:  # fmt: skip
    size, deviation = prod(shape), np.sqrt(2 / prod(shape[1:]))
    whole = words(spec["seed"], purpose, index, (size + 1) // 2)
    halves = np.stack([whole & np.uint64(0xFFFFFFFF), whole >> np.uint64(32)], axis=1).reshape(-1)[:size]
    u = (halves.astype(np.float64) + 0.5) / 2**32
    init = {"kaiming_uniform": np.sqrt(3) * deviation * (2 * u - 1), "kaiming_normal": deviation * ndtri(u),
            "signed_kaiming_constant": np.where(u < 0.5, -deviation, deviation)}  # fmt: skip
    return init[spec["weight_init"]].astype(np.float32)


def roles_of(header: dict[str, Any], tensors: dict[str, Any]) -> NDArray[np.uint8]:
    sizes = header["edges"]
    if "roles" in tensors:
        return np.stack([tensors["roles"] >> shift & 3 for shift in (6, 4, 2, 0)], axis=1).reshape(-1)[: sum(sizes)]
    parts = []
    for index, size in enumerate(sizes):
        pruned, locked = (header.get(name, [0] * len(sizes))[index] for name in ("pruned", "locked"))
        order = np.argsort(words(header["spec"]["seed"], "roles", index, size), kind="stable")
        parts.append(np.full(size, FREE, np.uint8))
        parts[-1][order[:pruned]] = PRUNED
        parts[-1][order[pruned : pruned + locked]] = LOCKED
    return np.concatenate(parts)


def kept_of(header: dict[str, Any], tensors: dict[str, Any], free: list[int]) -> NDArray[np.bool_]:
    if "mask" in tensors:
        return np.unpackbits(tensors["mask"])[: sum(free)].astype(bool)
    decoder = constriction.stream.queue.RangeDecoder(tensors["mask_coded"].view("<u4").astype(np.uint32))
    parts = []
    for size, kept in zip(free, header["kept"], strict=True):
        constant, model = kept in (0, size), constriction.stream.model.Bernoulli
        parts.append(np.full(size, kept > 0) if constant else decoder.decode(model(kept / size, perfect=False), size) == 1)
    return np.concatenate(parts)


def levels_of(name: str, header: dict[str, Any], tensors: dict[str, Any], edges: int) -> NDArray[np.int64]:
    """Coats less one, or draws, of the kept edges."""
    counts, levels, positions, start = header[name], np.zeros(edges, np.int64), np.arange(edges), 0
    decoder = None
    if f"{name}_coded" in tensors:
        decoder = constriction.stream.queue.RangeDecoder(tensors[f"{name}_coded"].view("<u4").astype(np.uint32))
    for count in counts:
        size = len(positions)
        if decoder is None:
            plane = np.unpackbits(tensors[name])[start : start + size].astype(bool)
        elif count == size:
            plane = np.ones(size, bool)
        else:
            plane = decoder.decode(constriction.stream.model.Bernoulli(count / size, perfect=False), size) == 1
        start, positions = start + size, positions[plane]
        levels[positions] += 1
    return levels


def rich(weights: NDArray[np.float32], kept: NDArray[np.intp], header: dict[str, Any], tensors: dict[str, Any]) -> None:
    """What format 2 says of the kept edges, at these positions."""
    layer = np.repeat(np.arange(len(SHAPES)), header["edges"])
    if "draws" in header:
        draws = levels_of("draws", header, tensors, len(kept))
        for draw in range(1, draws.max() + 1):
            drawn = [
                weights_of(header["spec"], i + draw * len(SHAPES), shape, "redrawn-weights") for i, shape in enumerate(SHAPES)
            ]
            weights[kept[draws == draw]] = np.concatenate(drawn)[kept[draws == draw]]
    if "gains" in tensors:
        weights[kept] = np.sign(weights[kept]) * tensors["gains"][layer[kept]]
    if "coats" in header:
        weights[kept] *= (levels_of("coats", header, tensors, len(kept)) + 1).astype(np.float32)
    if "signs" in tensors:
        negated = np.unpackbits(tensors["signs"])[: len(kept)].astype(bool)
        weights[kept[negated]] *= -1


def read(content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]], NDArray[np.uint8], NDArray[np.float32]]:
    """Header, tensors, roles and effective weights."""
    (length,) = struct.unpack("<Q", content[:8])
    outer, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    header = json.loads(outer.pop("__metadata__")["slt-bench"])
    tensors = {name: np.frombuffer(data[slice(*each["data_offsets"])], TYPES[each["dtype"]]) for name, each in outer.items()}
    stops = np.cumsum(header["edges"])[:-1]
    roles = roles_of(header, tensors)
    weights = np.concatenate([weights_of(header["spec"], index, shape) for index, shape in enumerate(SHAPES)])
    weights[roles == PRUNED] = 0
    if "weights" in tensors:
        weights[roles == FREE] = tensors["weights"]
        kept = np.ones(len(tensors["weights"]), bool)
    else:
        kept = kept_of(header, tensors, [int((each == FREE).sum()) for each in np.split(roles, stops)])
        weights[np.flatnonzero(roles == FREE)[~kept]] = 0
        rich(weights, np.flatnonzero(roles == FREE)[kept], header, tensors)
    nonzero = roles == LOCKED
    nonzero[roles == FREE] = kept
    scale, parts = header["spec"]["scale"], []
    for part, nonzero_part in zip(np.split(weights, stops), np.split(nonzero, stops), strict=True):
        density = {"none": 1.0, "static": nonzero.mean(), "dynamic": nonzero_part.mean()}[scale]
        parts.append(part * np.float32(1 / sqrt(density) if density else 0.0))
    return header, tensors, roles, np.concatenate(parts)


KINDS = [
    (source, scale, ("scores", "weights")[(i + j) % 2], ("packed", "coded")[(i // 2 + j) % 2])  # every pair of values
    for i, source in enumerate((*SOURCES, "from ticket"))
    for j, scale in enumerate(("none", "static", "dynamic"))
]


@pytest.mark.parametrize(("source", "scale", "learned", "mask"), KINDS)
def test_a_reader_made_from_the_page_finds_the_digest(
    tmp_path: Path, source: str, scale: str, learned: str, mask: MaskCoding
) -> None:  # fmt: skip
    child = source == "from ticket"
    ticket = make_child_ticket(learned, scale) if child else make_ticket(SOURCES[source], learned, scale=scale)
    save_ticket(ticket, tmp_path / "ticket", mask=mask, statistics="float16")
    check(tmp_path / "ticket")


@pytest.mark.parametrize("mask", ["packed", "coded"])
@pytest.mark.parametrize("extras", [*((each,) for each in EXTRAS), EXTRAS])
def test_it_reads_signs_coats_draws_and_gains_too(tmp_path: Path, extras: tuple[str, ...], mask: MaskCoding) -> None:
    save_ticket(make_rich_ticket(extras), tmp_path / "ticket", mask=mask)
    check(tmp_path / "ticket")


def check(path: Path) -> None:
    """The digest in the header is that of what the reader finds."""
    header, tensors, roles, weights = read(path.read_bytes())
    digest = hashlib.sha256(json.dumps(header["spec"], sort_keys=True, separators=(",", ":")).encode())
    digest.update(roles.tobytes() + weights.tobytes())
    digest.update(tensors["batch_norm_mean"].tobytes() + tensors["batch_norm_var"].tobytes())
    assert digest.hexdigest() == header["digest"]


def test_the_documents_sample_classifies_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs/ticket-format.md").read_text(encoding="utf-8")
    sample = page.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    ticket = make_ticket(SOURCES["frozen"])
    save_ticket(ticket, Path("ticket.safetensors"))
    Image.fromarray(np.full((20, 30), 128, np.uint8)).save("picture.png")
    exec(compile(sample, "sample", "exec"), {})
    assert capsys.readouterr().out.strip() in ticket.spec.classes
