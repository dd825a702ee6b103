"""Masks as bytes: one bit an edge, or entropy-coded, close to what an ideal code would need; roles as two bits an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.common.errors import BenchError


@dataclass(frozen=True)
class CodedMask:
    """An entropy-coded mask, with the counts without which it cannot be decoded."""

    code: Tensor  # uint8[4 w], the code's w words of 32 bits as little-endian bytes
    kept: list[int]  # kept free edges of each layer


def pack(mask: Tensor) -> Tensor:
    """Pack a mask: one bit an edge, the most significant bit first.

    Args:
        mask: bool[n].

    Returns:
        uint8[ceil(n / 8)], the last byte filled with zeros.
    """
    return torch.from_numpy(np.packbits(mask.numpy()))


def unpack(packed: Tensor, size: int) -> Tensor:
    """Unpack a packed mask.

    Args:
        packed: uint8[ceil(size / 8)].
        size: number of edges.

    Returns:
        bool[size].

    Raises:
        ValueError: `packed` has another length, or bits beyond the last edge.
    """
    bits = np.unpackbits(packed.numpy())
    if len(bits) - size not in range(8) or bits[size:].any():
        raise ValueError("packed mask of the wrong length")
    return torch.from_numpy(bits[:size].astype(bool))


def encode(mask: Tensor, stops: Sequence[int]) -> CodedMask:
    """Entropy-code a mask layer by layer, with one probability k / n for all edges of a layer to be kept.

    The words are those of the range coder of the library `constriction` (32-bit words, 64-bit state, 24-bit probabilities).

    Args:
        mask: bool[n] over the free edges.
        stops: where each layer ends in the mask.

    Returns:
        The code and each layer's kept edges.

    Raises:
        BenchError: the package that codes masks is not installed.
    """
    encoder = _coder().queue.RangeEncoder()
    bits, kept = mask.numpy().astype(np.int32), []
    for part in np.split(bits, stops[:-1]):
        kept.append(int(part.sum()))
        if 0 < kept[-1] < len(part):  # else the counts say it all
            encoder.encode(part, _bernoulli(kept[-1], len(part)))
    return CodedMask(torch.from_numpy(encoder.get_compressed().astype("<u4").view(np.uint8)), kept)


def decode(code: Tensor, stops: Sequence[int], kept: Sequence[int]) -> Tensor:
    """Decode an entropy-coded mask.

    Args:
        code: uint8[4 w], the code's words as little-endian bytes.
        stops: where each layer ends in the mask.
        kept: kept edges of each layer.

    Returns:
        bool[n] over the free edges.

    Raises:
        ValueError: the code does not give a mask that keeps so many edges of each layer.
        BenchError: the package that codes masks is not installed.
    """
    if len(kept) != len(stops) or code.numel() % 4:
        raise ValueError("coded mask of the wrong length")
    decoder = _coder().queue.RangeDecoder(code.numpy().view("<u4").astype(np.uint32))
    parts: list[NDArray[np.bool_]] = []
    start = 0
    for stop, count in zip(stops, kept, strict=True):
        size = stop - start
        constant = count in (0, size)
        part = np.full(size, count, np.int32) > 0 if constant else decoder.decode(_bernoulli(count, size), size).astype(bool)
        if int(part.sum()) != count:
            raise ValueError("coded mask is damaged")
        parts.append(part)
        start = stop
    return torch.from_numpy(np.concatenate(parts))


def pack_roles(roles: Tensor) -> Tensor:
    """Pack roles: two bits an edge, the first edge in the two highest bits.

    Args:
        roles: uint8[N] of 0, 1, 2.

    Returns:
        uint8[ceil(N / 4)], the last byte filled with zeros.
    """
    padded = np.zeros(-(-roles.numel() // 4) * 4, np.uint8)
    padded[: roles.numel()] = roles.numpy()
    four = padded.reshape(-1, 4)
    return torch.from_numpy(four[:, 0] << 6 | four[:, 1] << 4 | four[:, 2] << 2 | four[:, 3])


def unpack_roles(packed: Tensor, edges: int) -> Tensor:
    """Unpack packed roles.

    Args:
        packed: uint8[ceil(edges / 4)].
        edges: number of edges, N.

    Returns:
        uint8[edges] of 0, 1, 2.

    Raises:
        ValueError: `packed` has another length, a value that is no role, or bits beyond the last edge.
    """
    four = np.stack([packed.numpy() >> shift & 3 for shift in (6, 4, 2, 0)], axis=1).reshape(-1)
    if len(four) - edges not in range(4) or four[edges:].any() or (four > 2).any():
        raise ValueError("roles of the wrong length")
    return torch.from_numpy(four[:edges].copy())


def _coder() -> Any:
    try:
        import constriction
    except ImportError as error:
        raise BenchError("entropy-coded masks need the package constriction: pip install 'slt-bench[coding]'") from error
    return constriction.stream


def _bernoulli(kept: int, size: int) -> Any:
    return _coder().model.Bernoulli(kept / size, perfect=False)
