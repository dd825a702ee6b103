"""docs/ticket-format.md is enough to read a ticket: a reader that was written from it, without the package."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import constriction
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from slt_bench.layouts import freeze
from slt_bench.params import Source
from slt_bench.ticket_file import save_ticket
from tests.conftest import FROZEN, PRUNED
from tests.test_ticket import make_ticket

SHAPES = [(8, 3, 3, 3), (8, 8, 3, 3), (32, 128), (32, 32), (3, 32)]  # conv2, width 1/8, 8 pixels, 3 classes
TYPES = {"F32": "<f4", "F16": "<f2", "U8": "u1"}


def words(seed: int, purpose: str, index: int, count: int) -> NDArray[np.uint64]:
    name = hashlib.sha256(f"slt-bench/{seed}/{purpose}/{index}".encode()).digest()
    return np.random.Philox(key=int.from_bytes(name[:16], "little")).random_raw(count)


def uniform(seed: int, purpose: str, index: int, count: int) -> NDArray[np.float64]:
    whole = words(seed, purpose, index, (count + 1) // 2)
    halves = np.stack([whole & np.uint64(0xFFFFFFFF), whole >> np.uint64(32)], axis=1).reshape(-1)[:count]
    return (halves.astype(np.float64) + 0.5) / 2**32


def effective_weights(header: dict[str, Any], tensors: dict[str, Any], counts: Any) -> NDArray[np.float32]:
    spec, weights, free = header["spec"], [], []
    for index, shape in enumerate(SHAPES):
        size, deviation = int(np.prod(shape)), np.sqrt(2 / np.prod(shape[1:]))
        u = uniform(spec["seed"], "weights", index, size)
        drawn = {"kaiming_uniform": np.sqrt(3) * deviation * (2 * u - 1), "kaiming_normal": deviation * ndtri(u),
                 "signed_kaiming_constant": np.where(u < 0.5, -deviation, deviation)}[spec["weight_init"]]  # fmt: skip
        order = np.argsort(words(spec["seed"], "roles", index, size), kind="stable")
        pruned, locked = counts[index]
        drawn[order[:pruned]] = 0
        open_ = np.ones(size, bool)
        open_[order[: pruned + locked]] = False
        weights.append(drawn.astype(np.float32))
        free.append(open_)
    if "mask" in tensors:
        kept = np.unpackbits(tensors["mask"])[: sum(int(each.sum()) for each in free)].astype(bool)
    else:
        decoder = constriction.stream.queue.RangeDecoder(tensors["mask_coded"].view("<u4").astype(np.uint32))
        parts = []
        for each, count in zip(free, header["kept"], strict=True):
            model = constriction.stream.model.Bernoulli(count / int(each.sum()), perfect=False)
            parts.append(decoder.decode(model, int(each.sum())).astype(bool))
        kept = np.concatenate(parts)
    whole = np.concatenate(weights)
    positions = np.flatnonzero(np.concatenate(free))
    whole[positions[~kept]] = 0
    return whole


@pytest.mark.parametrize("mask", ["packed", "coded"])
@pytest.mark.parametrize("source", [Source(), PRUNED, FROZEN], ids=["dense", "pruned", "frozen"])
def test_a_reader_made_from_the_page_finds_the_digest(tmp_path: Path, source: Source, mask: str) -> None:
    save_ticket(make_ticket(source), tmp_path / "ticket", mask=mask, statistics="float16")
    content = (tmp_path / "ticket").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    outer, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    header = json.loads(outer.pop("__metadata__")["slt-bench"])
    tensors = {name: np.frombuffer(data[slice(*each["data_offsets"])], TYPES[each["dtype"]]) for name, each in outer.items()}
    budget = freeze(SHAPES, source.prune_ratio, source.lock_ratio, source.layout or "uniform", "joint")
    counts = list(zip(budget.pruned.tolist(), budget.locked.tolist(), strict=True))
    spec = header["spec"]
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode())
    digest.update(effective_weights(header, tensors, counts).tobytes())
    digest.update(tensors["batch_norm_mean"].tobytes() + tensors["batch_norm_var"].tobytes())
    assert digest.hexdigest() == header["digest"]
