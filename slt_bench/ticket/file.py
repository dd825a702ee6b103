"""The ticket file: a header and bits. docs/ticket-format.md describes it byte by byte."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from slt_bench.common.errors import BenchError
from slt_bench.common.files import write_bytes
from slt_bench.networks.budget import Budget
from slt_bench.networks.registry import channels
from slt_bench.networks.source import SourceNetwork, count_roles
from slt_bench.ticket.check import Damaged, Stored, check_edges, check_header, check_lengths, check_tensors
from slt_bench.ticket.counts import Counts
from slt_bench.ticket.mask_coding import decode, encode, pack, pack_roles, unpack, unpack_roles
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.ticket import Spec, Ticket

MaskCoding = Literal["packed", "coded"]
Statistics = Literal["float32", "float16"]
_KEY = "slt-bench"
_BUDGET = ("edges", "pruned", "locked")  # in the header


@dataclass(frozen=True)
class TicketFile:
    """A ticket as read from a file: verified, with its rebuilt network."""

    ticket: Ticket
    network: MaskedNetwork
    size: int  # bytes on disk
    counts: Counts


def save_ticket(ticket: Ticket, path: Path, mask: MaskCoding = "packed", statistics: Statistics = "float32") -> MaskedNetwork:
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


def _content(ticket: Ticket, network: MaskedNetwork, stored: dict[str, Tensor], mask: MaskCoding) -> bytes:
    from safetensors.torch import save

    spec = ticket.spec.model_dump(mode="json", exclude_none=True)
    header: dict[str, Any] = {"spec": spec, "digest": _digest(spec, network, stored), **_budget(network.budget)}
    tensors = dict(stored)
    if ticket.mask is not None and mask == "packed":
        tensors["mask"] = pack(ticket.mask)
    elif ticket.mask is not None:
        tensors["mask_coded"], header["kept"] = encode(ticket.mask, network.free_stops)
    if ticket.weights is not None:
        tensors["weights"] = ticket.weights
    if ticket.roles is not None:
        tensors["roles"] = pack_roles(ticket.roles)
    return save(tensors, {_KEY: _canonical(header)})


def read_ticket(path: Path) -> TicketFile:
    """Read a ticket, rebuild its network and verify the digest.

    Header and tensors are checked against the format before anything is built from them.

    Raises:
        BenchError: no such file, not a ticket, another version of the format, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise BenchError(f"there is no ticket {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise BenchError(f"{path} is a safetensors file, but no ticket of slt-bench")
            header, ticket, stored, built = _contents(file, metadata[_KEY])
        network = ticket.network(built)
    except SafetensorError as error:
        raise BenchError(f"{path} is no ticket, or a damaged one: {error}") from error
    except Damaged as error:
        raise BenchError(f"{path} is a damaged ticket: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BenchError(f"{path} is a damaged ticket: {where} in its spec: {first['msg']}") from error
    except (ValueError, KeyError, TypeError, RuntimeError, AssertionError, RecursionError, OverflowError) as error:
        raise BenchError(f"{path} is a damaged ticket: {type(error).__name__} in its header or tensors") from error
    if _digest(header["spec"], network, stored) != header["digest"]:
        raise BenchError(f"{path} is damaged: what it rebuilds to does not have the digest in its header")
    return TicketFile(ticket, network, path.stat().st_size, network.counts())


_Built = tuple[nn.Module, SourceNetwork]


def _contents(file: Any, text: str) -> tuple[dict[str, Any], Ticket, dict[str, Tensor], _Built]:
    """Header, ticket, statistics as stored, and source network of an open file."""
    header = json.loads(text)
    check_header(header)
    spec = _spec(header["spec"])
    declared = {name: _declared(file.get_slice(name)) for name in file.keys()}  # noqa: SIM118 (not a dict)
    check_tensors(spec, declared)
    module, layers = spec.architecture()
    check_edges(header, layers)
    roles = None
    if spec.source.layout == "from_ticket":
        roles = unpack_roles(file.get_tensor("roles"), layers[-1].stop)
        budget = count_roles(layers, roles)
    else:
        budget = spec.budget(layers)
    if {key: header[key] for key in _BUDGET if key in header} != _budget(budget):
        raise Damaged("edges, pruned or locked in its header are not those of its spec")
    check_lengths(header, declared, budget.free, channels(module))
    mask, weights = None, None
    if "mask" in declared:
        mask = unpack(file.get_tensor("mask"), int(budget.free.sum()))
    elif "mask_coded" in declared:
        mask = decode(file.get_tensor("mask_coded"), budget.free.cumsum().tolist(), header["kept"])
    else:
        weights = _finite(file, "weights")
    stored = {name: _finite(file, name) for name in ("batch_norm_mean", "batch_norm_var")}
    if bool((stored["batch_norm_var"] < 0).any()):
        raise Damaged("a variance in batch_norm_var is negative")
    mean, var = (values.to(torch.float32) for values in stored.values())
    return header, Ticket(spec, mask, weights, mean, var, roles), stored, spec.build(roles, (module, layers))


def _spec(content: dict[str, Any]) -> Spec:
    if type(content.get("format")) is not int or content["format"] != 1:
        raise BenchError(f"ticket format {content.get('format')!s:.40} is not known to this version of slt-bench")
    return Spec.model_validate(content)


def _declared(tensor: Any) -> Stored:
    return Stored(tensor.get_dtype(), tuple(tensor.get_shape()))


def _finite(file: Any, name: str) -> Tensor:
    values: Tensor = file.get_tensor(name)
    if not bool(values.isfinite().all()):
        raise Damaged(f"a value in {name} is NaN or infinite")
    return values


def _digest(spec: dict[str, Any], network: MaskedNetwork, stored: dict[str, Tensor]) -> str:
    """SHA-256 of the spec as in the header, roles, effective weights (little-endian float32), statistics as stored."""
    hasher = hashlib.sha256(_canonical(spec).encode())
    hasher.update(network.source.roles.numpy().tobytes())
    hasher.update(network.effective.numpy().astype("<f4", copy=False).tobytes())
    for name in ("batch_norm_mean", "batch_norm_var"):
        values = stored[name].contiguous().numpy()
        hasher.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return hasher.hexdigest()


def _budget(budget: Budget) -> dict[str, list[int]]:
    """For readers without the layouts: edges of each layer and, where there are any, the pruned and locked ones."""
    counts = zip(_BUDGET, (budget.sizes, budget.pruned, budget.locked), strict=True)
    return {name: each.tolist() for name, each in counts if each.any()}


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
