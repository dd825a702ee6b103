"""Levels as bytes: a small number for each kept edge, written as nested planes of bits, packed or entropy-coded.

Plane j (from 1) has one bit for each edge whose level is j - 1 or more, and says whether it is j or more. So C coats take, with
the mask, N + N(1 - s_1) + ... + N(1 - s_(C-1)) bits (Okoshi et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.ticket.coding.mask_coding import decode, encode, pack, unpack

MOST = 255  # the highest level


def level_counts(levels: Tensor) -> list[int]:
    """Count the edges of level 1 or more, of 2 or more, and so on to the highest; empty where all levels are 0.

    Args:
        levels: uint8[k].
    """
    counts = np.bincount(levels.numpy())
    at_least: list[int] = counts[::-1].cumsum()[::-1][1:].tolist()
    return at_least


def pack_levels(levels: Tensor) -> Tensor:
    """Pack levels: the planes one after another, one bit an edge, the most significant bit first.

    Args:
        levels: uint8[k].

    Returns:
        uint8[ceil(bits / 8)], the last byte filled with zeros.
    """
    return pack(_bits(list(_planes(levels.numpy()))))


def unpack_levels(packed: Tensor, size: int, counts: Sequence[int]) -> Tensor:
    """Unpack packed levels.

    Args:
        packed: uint8[bytes].
        size: number of edges.
        counts: the result of `level_counts`.

    Returns:
        uint8[size].

    Raises:
        ValueError: `packed` has another length, or its planes have other counts.
    """
    stops = np.cumsum(_plane_sizes(size, counts))
    bits = unpack(packed, int(stops[-1]) if counts else 0).numpy()
    return _from_planes(np.split(bits, stops[:-1]) if counts else [], size, counts)


def encode_levels(levels: Tensor) -> Tensor:
    """Entropy-code levels, each plane with the share of its ones as their probability.

    Args:
        levels: uint8[k].

    Returns:
        uint8[4 w], the code's words of 32 bits as little-endian bytes.

    Raises:
        BenchError: the package that codes masks is not installed.
    """
    planes = list(_planes(levels.numpy()))
    return encode(_bits(planes), np.cumsum([len(plane) for plane in planes]).tolist() or [0]).code


def decode_levels(code: Tensor, size: int, counts: Sequence[int]) -> Tensor:
    """Decode entropy-coded levels.

    Args:
        code: uint8[4 w].
        size: number of edges.
        counts: the result of `level_counts`.

    Returns:
        uint8[size].

    Raises:
        ValueError: the code does not give planes of these counts.
        BenchError: the package that codes masks is not installed.
    """
    if not counts:
        return torch.zeros(size, dtype=torch.uint8)
    stops = np.cumsum(_plane_sizes(size, counts))
    bits = decode(code, stops.tolist(), counts).numpy()
    return _from_planes(np.split(bits, stops[:-1]), size, counts)


def _plane_sizes(size: int, counts: Sequence[int]) -> list[int]:
    return [size, *counts[:-1]]


def _bits(planes: Sequence[NDArray[np.bool_]]) -> Tensor:
    """Lay planes end to end: bool[bits]."""
    return torch.from_numpy(np.concatenate([np.zeros(0, bool), *planes]))


def _planes(levels: NDArray[np.uint8]) -> Iterator[NDArray[np.bool_]]:
    for level in range(1, int(levels.max(initial=0)) + 1):
        plane = levels >= level
        yield plane
        levels = levels[plane]


def _from_planes(planes: Sequence[NDArray[np.bool_]], size: int, counts: Sequence[int]) -> Tensor:
    levels, positions = np.zeros(size, np.uint8), np.arange(size)
    for plane, count in zip(planes, counts, strict=True):
        positions = positions[plane]
        if len(positions) != count:
            raise ValueError("a plane of levels has another count")
        levels[positions] += 1
    return torch.from_numpy(levels)
