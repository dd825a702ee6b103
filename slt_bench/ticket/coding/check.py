"""Checks of a ticket file against its format, before anything is built: a damaged file costs neither time nor memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt_bench.networks.registry import Layer
from slt_bench.ticket.coding.levels import MOST
from slt_bench.ticket.ticket import Spec

MOST_EDGES = 1 << 30  # of a network: 16 times a Wide ResNet-50
_STATISTICS = ("batch_norm_mean", "batch_norm_var")
_TYPES: dict[str, tuple[str, ...]] = {
    "mask": ("U8",), "mask_coded": ("U8",), "weights": ("F32",), "roles": ("U8",),
    "batch_norm_mean": ("F32", "F16"), "batch_norm_var": ("F32", "F16"), "signs": ("U8",), "coats": ("U8",),
    "coats_coded": ("U8",), "draws": ("U8",), "draws_coded": ("U8",), "gains": ("F32",),
}  # fmt: skip
_KEYS = {"digest": str, "spec": dict, "edges": list}
_OPTIONAL = ("pruned", "locked", "kept", "coats", "draws")
_LEVELS = ("coats", "draws")


class Damaged(Exception):
    """Something in a ticket file that the format does not allow; the message says what."""


@dataclass(frozen=True)
class Stored:
    """A tensor as the file declares it."""

    dtype: str  # as safetensors calls it
    shape: tuple[int, ...]


def check_header(header: Any) -> None:
    """Check that the header has the keys of the format, of the right types, and no others.

    Raises:
        Damaged: naming the key.
    """
    if not isinstance(header, dict):
        raise Damaged("its header is no JSON object")
    for key, kind in _KEYS.items():
        if not isinstance(header.get(key), kind):
            raise Damaged(f"its header has no {key}" if key not in header else f"{key} in its header is no {kind.__name__}")
    if unknown := sorted(set(header) - {*_KEYS, *_OPTIONAL}):
        raise Damaged(f"its header has the unknown key {unknown[0]!r}")
    if _has_surrogates(header):
        raise Damaged("a text in its header is no Unicode")
    for key in ("edges", *_OPTIONAL):
        counts = header.get(key, [])
        if not isinstance(counts, list) or any(type(count) is not int or count < 0 for count in counts):
            raise Damaged(f"{key} in its header is no list of counts")


def _has_surrogates(header: dict[str, Any]) -> bool:
    try:
        json.dumps(header, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def check_tensors(spec: Spec, tensors: Mapping[str, Stored]) -> None:
    """Check that the file has the tensors that its spec needs, of the types that the format allows, and no others.

    Args:
        spec: from the header.
        tensors: name -> what the file declares; nothing of them has been read.

    Raises:
        Damaged: naming the tensor, its type and the types that are allowed.
    """
    wanted = {*_STATISTICS} | ({"roles"} if spec.source.layout == "from_ticket" else set())
    if spec.learned == "weights":
        wanted.add("weights")
    else:
        wanted.add("mask" if "mask" in tensors else "mask_coded")
    if spec.format == 2 and "weights" not in wanted:
        coded = "_coded" if "mask_coded" in wanted else ""
        wanted |= {"signs", "gains", *(name + coded for name in _LEVELS)} & set(tensors)
        if not wanted & {"signs", "gains", *(name + coded for name in _LEVELS)}:
            raise Damaged("its format is 2, but it has no signs, coats, draws or gains")
    if missing := sorted(wanted - set(tensors)):
        raise Damaged(f"tensor {missing[0]} is missing")
    if unknown := sorted(set(tensors) - wanted):
        raise Damaged(f"tensor {unknown[0]} does not belong to a ticket of this kind")
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES[name]:
            raise Damaged(f"tensor {name} has type {tensor.dtype}, allowed is {' or '.join(_TYPES[name])}")
        if len(tensor.shape) != 1:
            raise Damaged(f"tensor {name} has shape {list(tensor.shape)}, allowed is one dimension")
    mean, var = (tensors[name] for name in _STATISTICS)
    if mean != var:
        raise Damaged("batch_norm_mean and batch_norm_var have different types or lengths")


def check_edges(header: Mapping[str, Any], layers: Sequence[Layer]) -> None:
    """Check that the network of the spec has as many edges as the header lists.

    Args:
        header: checked already.
        layers: of the network.

    Raises:
        Damaged: the numbers differ, or are more than a ticket may have.
    """
    sizes = [layer.size for layer in layers]
    if header["edges"] != sizes:
        raise Damaged(f"its header lists {sum(header['edges']):,} edges in {len(header['edges'])} layers, the network of its "
                      f"spec has {sum(sizes):,} in {len(sizes)}")  # fmt: skip
    if sum(sizes) > MOST_EDGES:
        raise Damaged(f"a network of {sum(sizes):,} edges is too large; {MOST_EDGES:,} are allowed")


def check_lengths(
    header: Mapping[str, Any], tensors: Mapping[str, Stored], free: NDArray[np.int64], channels: int
) -> None:  # fmt: skip
    """Check that every tensor is as long as the counts of the network say.

    Args:
        header: checked already.
        tensors: checked already. The length of `roles` has been checked too, since the free edges follow from them.
        free: int64[layers], free edges of each layer.
        channels: number of channels of all batch norms.

    Raises:
        Damaged: naming the tensor, its length and the right one, or a layer that keeps more than it has.
    """
    edges = int(free.sum())
    lengths = {"mask": -(-edges // 8), "weights": edges, "gains": len(free), **dict.fromkeys(_STATISTICS, channels)}
    for name, length in lengths.items():
        if name in tensors and tensors[name].shape != (length,):
            raise Damaged(f"tensor {name} has {tensors[name].shape[0]:,} entries instead of {length:,}")
    for name in _LEVELS:
        counts, is_there = header.get(name), name in tensors or f"{name}_coded" in tensors
        if (counts is not None) != is_there:
            raise Damaged(f"{name} in its header belongs to a tensor {name}")
        most = MOST - 1 if name == "coats" else MOST  # level j is j + 1 coats, in a byte
        if counts is not None and (
            len(counts) > most or counts != sorted(counts, reverse=True) or 0 in counts or (counts and counts[0] > edges)
        ):
            raise Damaged(f"{name} in its header are no counts of edges of rising level")
    if ("kept" in header) != ("mask_coded" in tensors):
        raise Damaged("kept in its header belongs to an entropy-coded mask")
    if "mask_coded" not in tensors:
        return
    kept = header["kept"]
    if tensors["mask_coded"].shape[0] % 4 or len(kept) != len(free) or any(k > n for k, n in zip(kept, free, strict=True)):
        raise Damaged("kept in its header does not fit the free edges, or mask_coded is no sequence of 32-bit words")
