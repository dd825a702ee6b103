"""The ticket file: a header and bits. docs/ticket-format.md describes it byte by byte."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from slt_bench.checkpoint import write_bytes
from slt_bench.counts import Counts
from slt_bench.errors import BenchError
from slt_bench.mask_coding import decode, encode, pack, unpack
from slt_bench.source import FREE
from slt_bench.ticket import Spec, Ticket
from slt_bench.ticket_network import TicketNetwork

MaskCoding = Literal["packed", "coded"]
Statistics = Literal["float32", "float16"]
_KEY = "slt-bench"


@dataclass(frozen=True)
class TicketFile:
    """A ticket as read from a file: verified, with its rebuilt network."""

    ticket: Ticket
    network: TicketNetwork
    size: int  # bytes on disk
    counts: Counts


def save_ticket(ticket: Ticket, path: Path, mask: MaskCoding = "packed", statistics: Statistics = "float32") -> TicketNetwork:
    """Write the file; its header carries a digest of everything that it rebuilds to. Returns the rebuilt network.

    Args:
        ticket: what to write.
        path: where to.
        mask: one bit a free edge, or entropy-coded.
        statistics: of the batch norms; float16 rounds them, and with them the network.

    Raises:
        BenchError: the file cannot be written, a variance is too large for float16, or the package that codes masks is missing.
    """
    dtype = getattr(torch, statistics)
    mean, var = ticket.batch_norm_mean.to(dtype), ticket.batch_norm_var.to(dtype)
    stored = {"batch_norm_mean": mean, "batch_norm_var": var}
    if not all(bool(values.isfinite().all()) for values in stored.values()):
        raise BenchError(f"batch-norm statistics of this ticket are beyond {statistics}")
    network = replace(ticket, batch_norm_mean=mean.float(), batch_norm_var=var.float()).network()
    write_bytes(path, _content(ticket, network, stored, mask))
    return network


def coded_size(file: TicketFile) -> int:
    """Bytes that a ticket would take with its mask entropy-coded (float32 statistics).

    Raises:
        BenchError: the package that codes masks is missing.
    """
    ticket = file.ticket
    stored = {"batch_norm_mean": ticket.batch_norm_mean, "batch_norm_var": ticket.batch_norm_var}
    return len(_content(ticket, file.network, stored, "coded"))


def _content(ticket: Ticket, network: TicketNetwork, stored: dict[str, Tensor], mask: MaskCoding) -> bytes:
    from safetensors.torch import save

    spec = ticket.spec.model_dump(mode="json", exclude_none=True)
    header: dict[str, Any] = {"spec": spec, "digest": _digest(spec, network, stored), **_budget(network)}
    tensors = dict(stored)
    if ticket.mask is not None and mask == "packed":
        tensors["mask"] = pack(ticket.mask)
    elif ticket.mask is not None:
        tensors["mask_coded"], header["kept"] = encode(ticket.mask, network.free_stops)
    if ticket.weights is not None:
        tensors["weights"] = ticket.weights
    if ticket.roles is not None:
        tensors["roles"] = _pack_roles(ticket.roles)
    return save(tensors, {_KEY: _canonical(header)})


def read_ticket(path: Path) -> TicketFile:
    """Read a ticket, rebuild its network and verify the digest.

    Raises:
        BenchError: no such file, not a ticket, another version of the format, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise BenchError(f"there is no ticket {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise BenchError(f"{path} is no ticket, or a damaged one: {error}") from error
    if _KEY not in metadata:
        raise BenchError(f"{path} is a safetensors file, but no ticket of slt-bench")
    try:
        header = json.loads(metadata[_KEY])
        ticket, network = _rebuild(header, tensors)
    except (ValidationError, ValueError, KeyError, TypeError, RuntimeError, AssertionError) as error:
        raise BenchError(f"{path} is a damaged ticket: {type(error).__name__} in its header or tensors") from error
    if _digest(header["spec"], network, tensors) != header.get("digest") or any(
        header.get(key) != value for key, value in _budget(network).items()
    ):
        raise BenchError(f"{path} is damaged: what it rebuilds to does not have the digest in its header")
    return TicketFile(ticket, network, path.stat().st_size, network.counts())


def _rebuild(header: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[Ticket, TicketNetwork]:
    if header["spec"]["format"] != 1:
        raise BenchError(f"ticket format {header['spec']['format']} is not known to this version of slt-bench")
    spec = Spec.model_validate(header["spec"])
    roles = _unpack_roles(tensors["roles"], header["edges"]) if spec.source.layout == "from_ticket" else None
    built = spec.build(roles)
    source, mask = built[1], None
    if spec.learned != "weights" and "mask" in tensors:
        mask = unpack(tensors["mask"], source.count(FREE))
    elif spec.learned != "weights":
        mask = decode(tensors["mask_coded"], source.budget.free.cumsum().tolist(), header["kept"])
    weights = None if mask is not None else tensors["weights"]
    mean, var = (tensors[name].to(torch.float32) for name in ("batch_norm_mean", "batch_norm_var"))
    ticket = Ticket(spec, mask, weights, mean, var, roles)
    return ticket, ticket.network(built)


def _digest(spec: dict[str, Any], network: TicketNetwork, stored: dict[str, Tensor]) -> str:
    """SHA-256 of the spec as in the header, roles, effective weights (little-endian float32), statistics as stored."""
    hasher = hashlib.sha256(_canonical(spec).encode())
    hasher.update(network.source.roles.numpy().tobytes())
    hasher.update(network.effective.numpy().astype("<f4", copy=False).tobytes())
    for name in ("batch_norm_mean", "batch_norm_var"):
        values = stored[name].contiguous().numpy()
        hasher.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return hasher.hexdigest()


def _budget(network: TicketNetwork) -> dict[str, Any]:
    """For readers without the layouts: edges of each layer and, where there are any, the pruned and locked ones."""
    budget = network.budget
    counts = {"edges": budget.sizes, "pruned": budget.pruned, "locked": budget.locked}
    return {name: each.tolist() for name, each in counts.items() if each.any()}


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _pack_roles(roles: Tensor) -> Tensor:
    """uint8[N] of 0, 1, 2 as uint8[ceil(N / 4)], the first edge in the two highest bits."""
    padded = np.zeros(-(-roles.numel() // 4) * 4, np.uint8)
    padded[: roles.numel()] = roles.numpy()
    four = padded.reshape(-1, 4)
    return torch.from_numpy(four[:, 0] << 6 | four[:, 1] << 4 | four[:, 2] << 2 | four[:, 3])


def _unpack_roles(packed: Tensor, edges: list[int]) -> Tensor:
    four = np.stack([packed.numpy() >> shift & 3 for shift in (6, 4, 2, 0)], axis=1).reshape(-1)
    if len(four) - sum(edges) not in range(4) or four[sum(edges) :].any() or (four > 2).any():
        raise ValueError("roles of the wrong length")
    return torch.from_numpy(four[: sum(edges)].copy())
