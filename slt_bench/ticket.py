"""The ticket file: a header and packed bits, from which the network is rebuilt bit for bit.

Container: safetensors. Metadata key `slt-bench` holds the header as canonical JSON; the tensors are

    mask             uint8[ceil(N_free / 8)]   kept free edges, most significant bit first
    batch_norm_mean  float32[channels]         running means, batch norms in module order
    batch_norm_var   float32[channels]         running variances
    weights          float32[N_free]           in place of `mask` where the weights were trained (no ticket, a baseline)

Nothing else is stored: weights and roles are drawn again from the header's seed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from slt_bench import networks
from slt_bench.checkpoint import write_bytes
from slt_bench.errors import BenchError
from slt_bench.feasibility import Source
from slt_bench.layouts import freeze
from slt_bench.params import Model, Network, PositiveRgb, Rgb, Seed
from slt_bench.schedules import Learned
from slt_bench.source import FREE, SourceNetwork, WeightInit, make_source
from slt_bench.ticket_network import Counts, Scale, TicketNetwork

_KEY = "slt-bench"


class Spec(Model):
    """What a ticket's network is rebuilt from, besides the bits."""

    format: int = 1
    network: Network
    source: Source
    seed: Seed
    weight_init: WeightInit
    scale: Scale
    classes: list[str]
    image_size: int
    mean: Rgb
    std: PositiveRgb
    learned: Learned
    cell: str  # id and identity of the cell that found it, for the reader
    epoch: int  # epoch (from 1) after which it was taken

    def build(self) -> tuple[nn.Module, SourceNetwork]:
        """The bare architecture and the source network."""
        module = networks.build(
            self.network.kind, self.network.width, self.image_size, len(self.classes), self.network.batch_norm
        )
        layers = networks.searchable_layers(module)
        p, lock = self.source.prune_ratio, self.source.lock_ratio
        shapes = [layer.shape for layer in layers]
        budget = freeze(shapes, p, lock, self.source.layout or "uniform", self.source.lock_rule or "joint")
        return module, make_source(layers, self.seed, self.weight_init, budget)


@dataclass(frozen=True)
class Ticket:
    """A found subnetwork. `mask` is bool[N_free], or None where the free weights were trained and are in `weights`."""

    spec: Spec
    mask: Tensor | None
    weights: Tensor | None
    batch_norm_mean: Tensor
    batch_norm_var: Tensor

    def network(self, built: tuple[nn.Module, SourceNetwork] | None = None) -> TicketNetwork:
        """Rebuild the network, in evaluation mode; `built` is what `spec.build()` gave, where that is at hand."""
        module, source = built or self.spec.build()
        free = source.count(FREE)
        learned = self.weights if self.weights is not None else torch.zeros(free)
        found = self.weights.numel() if self.weights is not None else self.mask.numel() if self.mask is not None else 0
        if found != free:
            raise BenchError(f"the ticket has {found} entries, its source network {free} free edges")
        network = TicketNetwork(module, source, learned, "nothing" if self.weights is None else "weights", self.spec.scale)
        if self.mask is not None:
            network.mask = self.mask
        networks.set_batch_norm_statistics(module, self.batch_norm_mean, self.batch_norm_var)
        return network.eval()


@dataclass(frozen=True)
class TicketFile:
    """A ticket as read from a file: verified, with its rebuilt network."""

    ticket: Ticket
    network: TicketNetwork
    size: int  # bytes on disk
    counts: Counts


def save_ticket(ticket: Ticket, path: Path) -> None:
    """Write the file; its header carries a digest of everything that it rebuilds to."""
    from safetensors.torch import save

    tensors = {"batch_norm_mean": ticket.batch_norm_mean, "batch_norm_var": ticket.batch_norm_var}
    if ticket.mask is not None:
        tensors["mask"] = torch.from_numpy(np.packbits(ticket.mask.numpy()))
    if ticket.weights is not None:
        tensors["weights"] = ticket.weights
    header = {"spec": ticket.spec.model_dump(mode="json"), "digest": _digest(ticket, ticket.network())}
    write_bytes(path, save(tensors, {_KEY: json.dumps(header, sort_keys=True, separators=(",", ":"))}))


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
        ticket, network = _rebuild(header["spec"], tensors)
    except (ValidationError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BenchError(f"{path} is a damaged ticket: {type(error).__name__} in its header or tensors") from error
    if _digest(ticket, network) != header.get("digest"):
        raise BenchError(f"{path} is damaged: what it rebuilds to does not have the digest in its header")
    return TicketFile(ticket, network, path.stat().st_size, network.counts())


def _rebuild(header: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[Ticket, TicketNetwork]:
    if header["format"] != 1:
        raise BenchError(f"ticket format {header['format']} is not known to this version of slt-bench")
    spec = Spec.model_validate(header)
    built = spec.build()
    mask, weights = None, tensors["weights"] if spec.learned == "weights" else None
    if weights is None:
        free = built[1].count(FREE)
        bits = np.unpackbits(tensors["mask"].numpy())
        if len(bits) - free not in range(8) or bits[free:].any():
            raise ValueError("mask of the wrong length")
        mask = torch.from_numpy(bits[:free].astype(bool))
    ticket = Ticket(spec, mask, weights, tensors["batch_norm_mean"], tensors["batch_norm_var"])
    return ticket, ticket.network(built)


def _digest(ticket: Ticket, network: TicketNetwork) -> str:
    """SHA-256 of the spec, the effective weights and the batch-norm statistics, as little-endian float32."""
    hasher = hashlib.sha256(ticket.spec.model_dump_json().encode())
    for values in (network.effective_weights(), ticket.batch_norm_mean, ticket.batch_norm_var):
        hasher.update(values.contiguous().numpy().astype("<f4", copy=False).tobytes())
    return hasher.hexdigest()
