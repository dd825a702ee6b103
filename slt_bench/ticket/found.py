"""The found part of a ticket: which free edges are kept, and what else of their weights no seed gives."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from slt_bench.networks.source import redrawn_weights
from slt_bench.params.recipes import WeightInit
from slt_bench.ticket.masked_network import MaskedNetwork


@dataclass(frozen=True)
class Found:
    """A subnetwork: a mask over the free edges, or trained weights of all of them.

    Beside a mask there may be a sign, a number of coats and a number of draws for each kept edge, and a gain for each layer.
    """

    mask: Tensor | None = None  # bool[N_free]
    weights: Tensor | None = None  # float32[N_free], where the free weights were trained
    signs: Tensor | None = None  # bool[N_free]: whether the weight of a kept edge is negated
    coats: Tensor | None = None  # uint8[N_free]: how often a kept edge counts, 1 or more
    draws: Tensor | None = None  # uint8[N_free]: how often the weight of a kept edge was drawn anew
    gains: Tensor | None = None  # float32[layers]: the magnitude of all free weights of a layer, which keep their signs

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing beside a mask or trained weights."""
        return all(part is None for part in (self.signs, self.coats, self.draws, self.gains))

    def copy(self) -> Found:
        """Copy the tensors to the CPU; what is said of dropped edges, which nobody needs to know, becomes 0."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        copied = Found(**{name: None if part is None else part.cpu().clone() for name, part in parts.items()})
        if copied.mask is None:
            return copied
        cleared = {name: getattr(copied, name) for name in ("signs", "coats", "draws")}
        return replace(
            copied, **{name: part * copied.mask.to(part.dtype) for name, part in cleared.items() if part is not None}
        )  # fmt: skip

    def compose(self, network: MaskedNetwork, seed: int, weight_init: WeightInit) -> None:
        """Give a network this mask and the effective weights that follow from it.

        Args:
            network: over the source network of the ticket.
            seed: of the source network.
            weight_init: of the source network.
        """
        if self.mask is not None:
            network.mask.copy_(self.mask)
        network.compose(self.weights if self.is_plain else self._values(network, seed, weight_init))

    def _values(self, network: MaskedNetwork, seed: int, weight_init: WeightInit) -> Tensor:
        """Compute the free weights times all that is said of them, float32[N_free]; 0 where an edge is dropped."""
        values = network.free_weights
        if self.draws is not None:
            values = redrawn_weights(network.source, seed, weight_init, self.draws)
        if self.gains is not None:
            values = torch.sign(values) * network.spread(self.gains)
        if self.coats is not None:
            values = values * self.coats
        if self.signs is not None:
            values = torch.where(self.signs, -values, values)
        return torch.where(network.mask, values, 0.0)

    def state(self) -> dict[str, Any]:
        """Give all fields, for a checkpoint; `Found(**state)` is the same again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
