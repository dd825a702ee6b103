"""Tickets at toy scale, of every kind of source network."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from slt_bench.networks.roles import FREE
from slt_bench.params.networks import Kind, Network
from slt_bench.ticket.found import Found
from slt_bench.ticket.ticket import Spec, Ticket, TicketSource

DENSE = TicketSource()
PRUNED = TicketSource(prune_ratio=0.4, layout="erk")
FROZEN = TicketSource(prune_ratio=0.25, lock_ratio=0.25, layout="epl", lock_rule="joint")
SOURCES = {"dense": DENSE, "pruned": PRUNED, "frozen": FROZEN}
FROM_TICKET = TicketSource(
    prune_ratio=0.5, lock_ratio=0.1, layout="from_ticket", ticket="a_b_c_d_e_f_g", ticket_identity="0123456789ab"
)  # fmt: skip
Change = Callable[[dict[str, Any]], object]


def make_spec(source: TicketSource = FROZEN, **changes: Any) -> Spec:
    """The header of a ticket of Conv-2, or of another network; changes replace any key."""
    keys: dict[str, Any] = {
        "network": Network(kind="conv2", width=0.125), "source": source, "seed": 3, "weight_init": "kaiming_uniform",
        "scale": "none", "classes": list("abc"), "image_size": 8, "mean": [0.5] * 3, "std": [0.5] * 3, "learned": "scores",
        "cell": "cell", "identity": "0123456789ab", "epoch": 7,
    }  # fmt: skip
    return Spec(**(keys | changes))


def make_ticket(source: TicketSource = FROZEN, learned: str = "scores", kind: Kind = "conv2", scale: str = "none") -> Ticket:
    """A ticket with a random mask, or with random weights where these are learned."""
    spec = make_spec(source, network=Network(kind=kind, width=0.125), learned=learned, scale=scale)
    module, network = spec.build()
    generator = torch.Generator().manual_seed(0)
    channels = sum(part.num_features for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    values = torch.randn(network.count(FREE), generator=generator)
    trained = learned == "weights"
    mean, var = torch.randn(channels, generator=generator), torch.rand(channels, generator=generator) + 0.5
    return Ticket(spec, Found(weights=values) if trained else Found(values > 0), mean, var)


EXTRAS = ("signs", "coats", "draws", "gains")


def make_rich_ticket(extras: Sequence[str] = EXTRAS, source: TicketSource = FROZEN, scale: str = "dynamic") -> Ticket:
    """A ticket that says more of its kept edges than that they are kept."""
    plain, generator = make_ticket(source, scale=scale), torch.Generator().manual_seed(2)
    assert plain.mask is not None
    edges = plain.mask.numel()
    parts = {
        "signs": torch.rand(edges, generator=generator) < 0.5,
        "coats": torch.randint(1, 6, (edges,), generator=generator, dtype=torch.uint8),
        "draws": torch.randint(0, 4, (edges,), generator=generator, dtype=torch.uint8),
        "gains": torch.rand(5, generator=generator) + 0.5,
    }
    found = Found(plain.mask, **{name: parts[name] for name in extras}).copy()
    return replace(plain, spec=plain.spec.model_copy(update={"format": 2}), found=found)


def make_child_ticket(learned: str = "scores", scale: str = "none") -> Ticket:
    """A ticket whose source network takes its roles from another ticket."""
    dense = make_ticket(DENSE, learned, scale=scale)
    edges = dense.network().source.size
    roles = torch.randint(0, 3, (edges,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    values = torch.randn(int((roles == FREE).sum()), generator=torch.Generator().manual_seed(1))
    trained, spec = learned == "weights", dense.spec.model_copy(update={"source": FROM_TICKET})
    found = Found(weights=values) if trained else Found(values > 0)
    return Ticket(spec, found, dense.batch_norm_mean, dense.batch_norm_var, roles)


def edited(content: bytes, outer: Change = lambda _: None, inner: Change = lambda _: None) -> bytes:
    """A ticket file with a changed safetensors header, and a changed header of the ticket inside it; the data stay."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    header_of_ticket = json.loads(header["__metadata__"]["slt-bench"])
    inner(header_of_ticket)
    header["__metadata__"]["slt-bench"] = json.dumps(header_of_ticket, sort_keys=True, separators=(",", ":"))
    outer(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + size :]
