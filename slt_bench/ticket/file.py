"""The ticket file: a header and a few tensors. docs/ticket-format.md describes it byte by byte."""

from __future__ import annotations

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
from slt_bench.networks.registry import Layer, channels
from slt_bench.networks.roles import count_roles
from slt_bench.networks.source import SourceNetwork
from slt_bench.ticket.coding.check import Damaged, Stored, check_edges, check_header, check_lengths, check_tensors
from slt_bench.ticket.coding.content import (
    BUDGET,
    KEY,
    LEVELS,
    STATISTICS,
    assemble,
    digest_of,
    encode_found,
    header_budget,
    spec_json,
)
from slt_bench.ticket.coding.levels import decode_levels, unpack_levels
from slt_bench.ticket.coding.mask_coding import decode, unpack, unpack_roles
from slt_bench.ticket.counts import Counts
from slt_bench.ticket.found import Found
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.ticket import Spec, Ticket

MaskCoding = Literal["packed", "coded"]
Statistics = Literal["float32", "float16"]


@dataclass(frozen=True)
class TicketFile:
    """A ticket as read from a file: verified, with its rebuilt network."""

    ticket: Ticket
    network: MaskedNetwork
    size: int  # bytes on disk
    counts: Counts
    digest: str  # of everything that the file rebuilds to, 64 hex digits


def save_ticket(
    ticket: Ticket,
    path: Path,
    mask: MaskCoding = "packed",
    statistics: Statistics = "float32",
    source: SourceNetwork | None = None,
) -> MaskedNetwork:
    """Write a ticket file; its header carries a digest of everything that it rebuilds to.

    Args:
        ticket: the ticket to write.
        path: of the file.
        mask: packed bits, or entropy-coded.
        statistics: type of the batch norms' statistics; float16 rounds them, and with them the network.
        source: the ticket's source network on the CPU, where it is at hand; else it is drawn.

    Returns:
        The rebuilt network.

    Raises:
        BenchError: the file cannot be written, a variance is too large for float16, or the package that codes masks is missing.
    """
    dtype = getattr(torch, statistics)
    mean, var = ticket.batch_norm_mean.to(dtype), ticket.batch_norm_var.to(dtype)
    if not all(bool(values.isfinite().all()) for values in (mean, var)):
        raise BenchError(f"batch-norm statistics of this ticket are beyond {statistics}")
    stored = dict(zip(STATISTICS, (mean, var), strict=True))
    built = None if source is None else (ticket.spec.architecture()[0], source)
    network = replace(ticket, batch_norm_mean=mean.float(), batch_norm_var=var.float()).network(built)
    coded = encode_found(ticket.found, network.free_stops) if mask == "coded" else None
    digest = digest_of(spec_json(ticket), network, stored)
    write_bytes(path, assemble(ticket, network.budget, digest, stored, coded))
    return network


def read_ticket(path: Path, sibling: TicketFile | None = None) -> TicketFile:
    """Read a ticket, rebuild its network and verify the digest.

    Header and tensors are checked against the format before anything is built from them.

    Args:
        path: of the file.
        sibling: another ticket, maybe of the same search. Where both have the same source network it is not drawn again.

    Returns:
        The verified ticket.

    Raises:
        BenchError: no such file, not a ticket, another version of the format, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise BenchError(f"there is no ticket {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if KEY not in metadata:
                raise BenchError(f"{path} is a safetensors file, but no ticket of slt-bench")
            contents = _contents(file, metadata[KEY])
        network = _rebuild(contents, sibling)
    except SafetensorError as error:
        raise BenchError(f"{path} is no ticket, or a damaged one: {error}") from error
    except Damaged as error:
        raise BenchError(f"{path} is a damaged ticket: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BenchError(f"{path} is a damaged ticket: {f'{key} in ' if key else ''}its spec: {first['msg']}") from error
    except (ValueError, KeyError, TypeError, RuntimeError, AssertionError, RecursionError, OverflowError) as error:
        raise BenchError(f"{path} is a damaged ticket: {type(error).__name__} in its header or tensors") from error
    digest = contents.header["digest"]
    if digest_of(contents.header["spec"], network, contents.stored) != digest:
        raise BenchError(f"{path} is damaged: what it rebuilds to does not have the digest in its header")
    return TicketFile(contents.ticket, network, path.stat().st_size, network.counts(), digest)


@dataclass(frozen=True)
class _Contents:
    """A ticket file as far as it is read and checked without drawing its source network."""

    header: dict[str, Any]
    ticket: Ticket
    stored: dict[str, Tensor]  # batch-norm statistics in the type in which they are stored
    architecture: tuple[nn.Module, tuple[Layer, ...]]


def _contents(file: Any, text: str) -> _Contents:
    """Read an open file with the text of its header."""
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
    if {key: header[key] for key in BUDGET if key in header} != header_budget(budget):
        raise Damaged("edges, pruned or locked in its header are not those of its spec")
    check_lengths(header, declared, budget.free, channels(module))
    found = _found(file, header, declared, budget)
    stored = {name: _finite(file, name) for name in STATISTICS}
    if bool((stored["batch_norm_var"] < 0).any()):
        raise Damaged("a variance in batch_norm_var is negative")
    mean, var = (values.to(torch.float32) for values in stored.values())
    return _Contents(header, Ticket(spec, found, mean, var, roles), stored, (module, layers))


def _found(file: Any, header: dict[str, Any], declared: dict[str, Stored], budget: Budget) -> Found:
    """Read what the ticket has found, with the tensors that are declared."""
    if "weights" in declared:
        return Found(weights=_finite(file, "weights"))
    if "mask" in declared:
        mask = unpack(file.get_tensor("mask"), int(budget.free.sum()))
    else:
        mask = decode(file.get_tensor("mask_coded"), budget.free.cumsum().tolist(), header["kept"])
    count, parts = int(mask.sum()), dict[str, Tensor]()
    for name in LEVELS:
        if name in declared:
            parts[name] = unpack_levels(file.get_tensor(name), count, header[name])
        elif f"{name}_coded" in declared:
            parts[name] = decode_levels(file.get_tensor(f"{name}_coded"), count, header[name])
    if "coats" in parts:
        parts["coats"] += 1
    if "signs" in declared:
        parts["signs"] = unpack(file.get_tensor("signs"), count)
    of_edges = {name: torch.zeros(len(mask), dtype=part.dtype).masked_scatter_(mask, part) for name, part in parts.items()}
    return Found(mask, gains=_finite(file, "gains") if "gains" in declared else None, **of_edges)


def _rebuild(contents: _Contents, sibling: TicketFile | None) -> MaskedNetwork:
    """Rebuild the network of a ticket, around the source network of its sibling if that is equal."""
    ticket, (module, _) = contents.ticket, contents.architecture
    if sibling is not None and _same_source(ticket, sibling.ticket):
        return ticket.network((module, sibling.network.source))
    return ticket.network(ticket.spec.build(ticket.roles, contents.architecture))


def _same_source(one: Ticket, other: Ticket) -> bool:
    if one.spec.model_copy(update={"epoch": other.spec.epoch}) != other.spec:
        return False
    return one.roles is None or (other.roles is not None and torch.equal(one.roles, other.roles))


def _spec(content: dict[str, Any]) -> Spec:
    if type(content.get("format")) is not int or content["format"] not in (1, 2):
        raise BenchError(f"ticket format {content.get('format')!s:.40} is not known to this version of slt-bench")
    return Spec.model_validate(content)


def _declared(tensor: Any) -> Stored:
    return Stored(tensor.get_dtype(), tuple(tensor.get_shape()))


def _finite(file: Any, name: str) -> Tensor:
    values: Tensor = file.get_tensor(name)
    if not bool(values.isfinite().all()):
        raise Damaged(f"a value in {name} is NaN or infinite")
    return values
