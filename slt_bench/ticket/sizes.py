"""Sizes: how many bytes a ticket takes with its mask packed and entropy-coded, and how many its mask needs at least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from torch import Tensor

from slt_bench.common.errors import BenchError
from slt_bench.ticket.coding.content import LEVELS, Coded, assemble, encode_found, packed_extras
from slt_bench.ticket.file import TicketFile


@dataclass(frozen=True)
class TicketSizes:
    """Bytes that a ticket and its mask take.

    The sizes of a mask are None for a ticket without one; those with a coded mask also where the package that codes masks
    is not installed.
    """

    file: int  # on disk
    file_coded: int | None  # with an entropy-coded mask and float32 statistics
    # With what is said of kept edges beside the mask: signs, coats, draws and gains.
    mask_packed: int | None  # one bit a free edge: the papers' formula (1-F)N
    mask_coded: int | None  # entropy-coded
    mask_bound: float | None  # the least for masks that keep as many edges of each layer: sum of n H(k/n)


def ticket_sizes(file: TicketFile) -> TicketSizes:
    """Measure a ticket; its mask is coded once, which takes most of the time."""
    found, stops = file.ticket.found, file.network.free_stops
    if found.mask is None:
        return TicketSizes(file.size, _file_size(file, None), None, None, None)
    packed, bound = -(-found.mask.numel() // 8), _entropy(found.mask, stops) / 8
    extras = packed_extras(found)
    same = sum(tensor.nbytes for name, tensor in extras.items() if name not in LEVELS)  # in both forms
    packed += sum(tensor.nbytes for tensor in extras.values())
    try:
        coded = encode_found(found, stops)
    except BenchError:
        return TicketSizes(file.size, None, packed, None, bound)
    assert coded is not None
    in_all = coded.mask.code.numel() + sum(code.numel() for code in coded.levels.values()) + same
    return TicketSizes(file.size, _file_size(file, coded), packed, in_all, bound)


def _file_size(file: TicketFile, coded: Coded | None) -> int:
    """Measure the ticket written again in the smaller form: its digest is another one then, of the same length."""
    statistics = {"batch_norm_mean": file.ticket.batch_norm_mean, "batch_norm_var": file.ticket.batch_norm_var}
    return len(assemble(file.ticket, file.network.budget, file.digest, statistics, coded))


def _entropy(mask: Tensor, stops: Sequence[int]) -> float:
    """Compute the entropy of a mask in bits, sum of n H(k/n): each layer keeps k of its n free edges."""
    parts = np.split(mask.numpy(), stops[:-1])
    return sum(_layer_entropy(len(part), int(part.sum())) for part in parts)


def _layer_entropy(free: int, kept: int) -> float:
    if kept in (0, free):
        return 0.0
    share = kept / free
    return -free * (share * log2(share) + (1 - share) * log2(1 - share))
