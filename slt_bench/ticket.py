"""A ticket: what it takes to rebuild a found subnetwork bit for bit. `ticket_file.py` writes and reads it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slt_bench import networks
from slt_bench.errors import BenchError
from slt_bench.layouts import freeze
from slt_bench.params.base import Model, PositiveRgb, Rgb, Seed
from slt_bench.params.sources import Source
from slt_bench.params.training import Network
from slt_bench.schedules import Learned
from slt_bench.source import FREE, SourceNetwork, WeightInit, make_source, random_roles
from slt_bench.ticket_network import Scale, TicketNetwork


class Spec(Model):
    """What a ticket's network is rebuilt from, besides the bits."""

    format: int = 1
    network: Network
    source: Source
    seed: Seed
    weight_init: WeightInit
    scale: Scale
    classes: list[str]
    image_size: int  # side in pixels
    resize: int | None = None  # shorter side before a centre crop of image_size; None: images come in that size
    mean: Rgb
    std: PositiveRgb
    learned: Learned
    cell: str  # id and identity of the cell that found it, for the reader
    epoch: int  # epoch (from 1) after which it was taken

    def build(self, roles: Tensor | None = None) -> tuple[nn.Module, SourceNetwork]:
        """The bare architecture and the source network; `roles` is given where they come from another ticket."""
        asked = self.network
        module = networks.build(asked.kind, asked.width, self.image_size, len(self.classes), asked.batch_norm, asked.stem)
        layers, source = networks.searchable_layers(module), self.source
        if source.layout == "from_ticket":
            if roles is None or roles.shape != (layers[-1].stop,):
                raise BenchError("the source network takes its roles from a ticket, which is not there or of another network")
        else:
            p, lock, shapes = source.prune_ratio, source.lock_ratio, [layer.shape for layer in layers]
            roles = random_roles(self.seed, freeze(shapes, p, lock, source.layout or "uniform", source.lock_rule or "joint"))
        return module, make_source(layers, self.seed, self.weight_init, roles)


@dataclass(frozen=True)
class Ticket:
    """A found subnetwork.

    `mask` is bool[N_free], or None where the free weights were trained and are in `weights` (float32[N_free]); `roles` is
    uint8[N] where they come from another ticket, else None.
    """

    spec: Spec
    mask: Tensor | None
    weights: Tensor | None
    batch_norm_mean: Tensor
    batch_norm_var: Tensor
    roles: Tensor | None = None

    def network(self, built: tuple[nn.Module, SourceNetwork] | None = None) -> TicketNetwork:
        """Rebuild the network, in evaluation mode; `built` is what `spec.build(roles)` gave, where that is at hand."""
        module, source = built or self.spec.build(self.roles)
        free = source.count(FREE)
        learned = self.weights if self.weights is not None else torch.zeros(free)
        found = self.weights.numel() if self.weights is not None else self.mask.numel() if self.mask is not None else 0
        if found != free:
            raise BenchError(f"the ticket has {found} entries, its source network {free} free edges")
        network = TicketNetwork(module, source, learned, "nothing" if self.weights is None else "weights", self.spec.scale)
        if self.mask is not None:
            network.mask.copy_(self.mask)
            network.compose()
        networks.set_batch_norm_statistics(module, self.batch_norm_mean, self.batch_norm_var)
        return network.eval()
