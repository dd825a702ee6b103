"""A ticket in memory: whatever it takes to rebuild a found subnetwork bit for bit. `ticket/file.py` writes and reads it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from slt_bench.common.errors import BenchError
from slt_bench.common.plugins import is_plugin
from slt_bench.networks import registry
from slt_bench.networks.budget import Budget, freeze
from slt_bench.networks.registry import Layer
from slt_bench.networks.roles import FREE, random_roles
from slt_bench.networks.source import SourceNetwork, make_source
from slt_bench.params.base import Model, PositiveRgb, Rgb, Seed
from slt_bench.params.networks import AnyNetwork
from slt_bench.params.recipes import Scale, WeightInit
from slt_bench.params.searches import Learned
from slt_bench.params.sources import Frozen
from slt_bench.ticket.found import Found
from slt_bench.ticket.masked_network import MaskedNetwork


class TicketSource(Frozen):
    """The source network as the header of a ticket file names it."""

    ticket: str | None = None  # layout from_ticket: the id of the cell that found the ticket; any text
    ticket_identity: str | None = None  # the digest of that cell's parameters
    ticket_seed: Seed | None = None  # its seed, where that is not the seed of this ticket's cell
    shuffled: bool = False

    def __str__(self) -> str:
        """Describe the source network for a reader."""
        shuffled = ", shuffled" if self.shuffled else ""
        return self.described(f"as the ticket of {self.ticket}{shuffled}" if self.ticket else str(self.layout))


class Spec(Model):
    """The header's part that a ticket's network is rebuilt from, together with the mask and the other tensors."""

    format: Literal[1, 2] = 1  # 2: with signs, coats, draws or gains
    network: AnyNetwork
    source: TicketSource
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
    cell: str  # id of the cell that found the ticket, for the reader
    identity: Annotated[str, Field(pattern="^[0-9a-f]{12}$")]  # digest of that cell's parameters
    epoch: Annotated[int, Field(ge=0)]  # epoch (from 1) after which the ticket was taken

    def architecture(self) -> tuple[nn.Module, tuple[Layer, ...]]:
        """Build the bare architecture, whose parameters hold no memory, and list its searchable layers."""
        module = registry.architecture(self.network, self.image_size, len(self.classes))
        return module, registry.searchable_layers(module)

    def budget(self, layers: Sequence[Layer]) -> Budget:
        """Compute pruned and locked edges of each layer, in a source network that does not take its roles from a ticket."""
        source = self.source
        assert source.layout != "from_ticket"
        return freeze(
            [layer.shape for layer in layers], source.prune_ratio, source.lock_ratio, source.layout or "uniform",
            source.lock_rule or "joint",
        )  # fmt: skip

    def build(
        self, roles: Tensor | None = None, architecture: tuple[nn.Module, tuple[Layer, ...]] | None = None
    ) -> tuple[nn.Module, SourceNetwork]:
        """Build the bare architecture and draw the source network.

        Args:
            roles: uint8[N], where they come from another ticket.
            architecture: the result of `architecture`, where that is at hand.

        Returns:
            The architecture, and the source network on the CPU.

        Raises:
            BenchError: roles are missing, or of another network.
        """
        module, layers = architecture or self.architecture()
        is_of_ticket = self.source.layout == "from_ticket"
        if not is_of_ticket:
            roles = random_roles(self.seed, self.budget(layers))
        elif roles is None or roles.shape != (layers[-1].stop,):
            raise BenchError("the source network takes its roles from a ticket, which is not there or of another network")
        source = make_source(layers, self.seed, self.weight_init, roles)
        return module, replace(source, is_of_ticket=is_of_ticket)

    @model_validator(mode="before")
    @classmethod
    def _split_cell_of_older_files(cls, content: Any) -> Any:
        """Files from before `identity` was a key of its own hold both in `cell`, with a space between them."""
        if isinstance(content, dict) and "identity" not in content and isinstance(content.get("cell"), str):
            cell, space, identity = content["cell"].rpartition(" ")
            return content | {"cell": cell, "identity": identity} if space else content
        return content

    @field_validator("network", "source", mode="before")
    @classmethod
    def _plugins_are_here(cls, content: Any) -> Any:
        """Refuse code that a file names and that nobody has imported; tell it from a damaged header."""
        names = [content.get("kind"), content.get("layout")] if isinstance(content, dict) else []
        for name in names:
            module = name.partition(":")[0] if isinstance(name, str) and is_plugin(name) else ""
            if module and module not in sys.modules:
                raise BenchError(
                    f"the ticket needs the plug-in {name}, and a file is not trusted to name code: import {module} first "
                    f"(`slt-bench ticket FILE --plugin {module}`)"
                )
        return content

    @model_validator(mode="after")
    def _images_are_large_enough(self) -> Spec:
        if self.image_size < self.network.smallest_image:
            raise ValueError(f"{self.network.kind} needs images of {self.network.smallest_image} pixels, not {self.image_size}")
        return self

    @model_validator(mode="after")
    def _no_more_is_frozen_than_there_is(self) -> Spec:
        if self.source.freezing_ratio > 1 + 1e-9:
            raise ValueError(f"prune_ratio + lock_ratio is {self.source.freezing_ratio:g}, more than 1")
        return self


@dataclass(frozen=True)
class Ticket:
    """A found subnetwork: its spec, and the tensors that no seed gives."""

    spec: Spec
    found: Found
    batch_norm_mean: Tensor  # float32[channels], batch norms in module order
    batch_norm_var: Tensor  # float32[channels]
    roles: Tensor | None = None  # uint8[N], where they come from another ticket

    @property
    def mask(self) -> Tensor | None:
        """The mask, bool[N_free]; None where the free weights were trained."""
        return self.found.mask

    @property
    def weights(self) -> Tensor | None:
        """The trained weights, float32[N_free]; None where there is a mask."""
        return self.found.weights

    def network(self, built: tuple[nn.Module, SourceNetwork] | None = None) -> MaskedNetwork:
        """Rebuild the network.

        Args:
            built: the result of `spec.build(roles)`, where that is at hand; the network takes the module for itself and only
                reads the source network.

        Returns:
            The network on the CPU, in evaluation mode.

        Raises:
            BenchError: the ticket's tensors do not fit its source network.
        """
        module, source = built or self.spec.build(self.roles)
        free = source.count(FREE)
        values = self.weights if self.mask is None else self.mask
        entries = 0 if values is None else values.numel()
        if entries != free:
            raise BenchError(f"the ticket has {entries} entries, its source network {free} free edges")
        network = MaskedNetwork(module, source, self.spec.scale)
        self.found.compose(network, self.spec.seed, self.spec.weight_init)
        registry.set_batch_norm_statistics(module, self.batch_norm_mean, self.batch_norm_var)
        return network.eval()
