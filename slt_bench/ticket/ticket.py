"""A ticket: what it takes to rebuild a found subnetwork bit for bit. `ticket_file.py` writes and reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from slt_bench.common.errors import BenchError
from slt_bench.networks import registry
from slt_bench.networks.budget import Budget, freeze
from slt_bench.networks.registry import Layer
from slt_bench.networks.source import FREE, SourceNetwork, make_source, random_roles
from slt_bench.params.base import Model, PositiveRgb, Rgb, Seed
from slt_bench.params.networks import Network
from slt_bench.params.recipes import Scale, WeightInit
from slt_bench.params.searches import Learned
from slt_bench.params.sources import Source
from slt_bench.ticket.masked_network import MaskedNetwork


class Spec(Model):
    """What a ticket's network is rebuilt from, besides the bits."""

    format: Literal[1] = 1
    network: Network
    source: Source
    seed: Seed
    weight_init: WeightInit
    scale: Scale
    classes: Annotated[list[str], Field(min_length=1)]
    image_size: Annotated[int, Field(ge=1, le=65_535)]  # side in pixels
    # the shorter side before a centre crop of image_size; None: images come in that size
    resize: Annotated[int, Field(ge=1, le=65_535)] | None = None
    mean: Rgb
    std: PositiveRgb
    learned: Learned
    cell: str  # id and identity of the cell that found it, for the reader
    epoch: Annotated[int, Field(ge=0)]  # epoch (from 1) after which it was taken

    def architecture(self) -> tuple[nn.Module, tuple[Layer, ...]]:
        """The bare architecture, whose parameters hold no memory, and its searchable layers."""
        asked = self.network
        module = registry.build(asked.kind, asked.width, self.image_size, len(self.classes), asked.batch_norm, asked.stem)
        return module, registry.searchable_layers(module)

    def budget(self, layers: Sequence[Layer]) -> Budget:
        """Pruned and locked edges of each layer, in a source network that does not take its roles from a ticket."""
        source = self.source
        assert source.layout != "from_ticket"
        return freeze(
            [layer.shape for layer in layers], source.prune_ratio, source.lock_ratio, source.layout or "uniform",
            source.lock_rule or "joint",
        )  # fmt: skip

    def build(
        self, roles: Tensor | None = None, built: tuple[nn.Module, tuple[Layer, ...]] | None = None
    ) -> tuple[nn.Module, SourceNetwork]:
        """The bare architecture and the source network.

        Args:
            roles: uint8[N], where they come from another ticket.
            built: what `architecture` gave, where that is at hand.

        Raises:
            BenchError: roles are missing, or of another network.
        """
        module, layers = built or self.architecture()
        if self.source.layout != "from_ticket":
            roles = random_roles(self.seed, self.budget(layers))
        elif roles is None or roles.shape != (layers[-1].stop,):
            raise BenchError("the source network takes its roles from a ticket, which is not there or of another network")
        return module, make_source(layers, self.seed, self.weight_init, roles)

    @model_validator(mode="after")
    def _images_are_large_enough(self) -> Spec:
        if self.image_size < self.network.smallest_image:
            raise ValueError(f"{self.network.kind} needs images of {self.network.smallest_image} pixels, not {self.image_size}")
        if self.source.freezing_ratio > 1 + 1e-9:
            raise ValueError(f"prune_ratio + lock_ratio is {self.source.freezing_ratio:g}, more than 1")
        return self


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

    def network(self, built: tuple[nn.Module, SourceNetwork] | None = None) -> MaskedNetwork:
        """Rebuild the network, in evaluation mode; `built` is what `spec.build(roles)` gave, where that is at hand."""
        module, source = built or self.spec.build(self.roles)
        free = source.count(FREE)
        learned = self.weights if self.weights is not None else torch.zeros(free)
        found = self.weights.numel() if self.weights is not None else self.mask.numel() if self.mask is not None else 0
        if found != free:
            raise BenchError(f"the ticket has {found} entries, its source network {free} free edges")
        network = MaskedNetwork(module, source, learned, "nothing" if self.weights is None else "weights", self.spec.scale)
        if self.mask is not None:
            network.mask.copy_(self.mask)
            network.compose()
        registry.set_batch_norm_statistics(module, self.batch_norm_mean, self.batch_norm_var)
        return network.eval()
