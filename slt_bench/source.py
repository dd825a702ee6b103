"""Source networks: weights and roles of every edge, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench import streams
from slt_bench.layouts import Budget
from slt_bench.networks import Layer

WeightInit = Literal["kaiming_uniform", "kaiming_normal", "signed_kaiming_constant"]

FREE, PRUNED, LOCKED = 0, 1, 2


@dataclass(frozen=True)
class SourceNetwork:
    """A source network as flat vectors over all N edges."""

    layers: tuple[Layer, ...]
    weights: Tensor  # float32[N], never trained
    roles: Tensor  # uint8[N]: FREE, PRUNED or LOCKED

    @property
    def size(self) -> int:
        """N."""
        return self.weights.numel()

    def count(self, role: int) -> int:
        """Edges with that role."""
        return int((self.roles == role).sum())

    def to(self, device: torch.device | str) -> SourceNetwork:
        """The same source network on another device."""
        return SourceNetwork(self.layers, self.weights.to(device), self.roles.to(device))


def make_source(layers: Sequence[Layer], seed: int, weight_init: WeightInit, budget: Budget) -> SourceNetwork:
    """Draw weights and roles; the weights depend on seed, layer and init alone, so every kind of source shares them."""
    weights = np.concatenate([_weights(layer, index, seed, weight_init) for index, layer in enumerate(layers)])
    roles = np.concatenate(
        [
            _roles(layer.size, int(budget.pruned[index]), int(budget.locked[index]), seed, index)
            for index, layer in enumerate(layers)
        ]
    )
    return SourceNetwork(tuple(layers), torch.from_numpy(weights), torch.from_numpy(roles))


def initial_scores(source: SourceNetwork, seed: int) -> Tensor:
    """Scores of the free edges, Kaiming normal per layer: standard deviation sqrt(2 / fan_in)."""
    parts = []
    for index, layer in enumerate(source.layers):
        scores = streams.normal(seed, "scores", index, layer.size) * np.sqrt(2.0 / layer.fan_in)
        parts.append(scores.astype(np.float32)[source.roles[layer.start : layer.stop].numpy() == FREE])
    return torch.from_numpy(np.concatenate(parts))


def uniform_scores(source: SourceNetwork, seed: int) -> Tensor:
    """Scores whose largest are a uniformly random subset of the free edges: the random-mask control."""
    values = np.concatenate([streams.uniform(seed, "scores", i, layer.size) for i, layer in enumerate(source.layers)])
    return torch.from_numpy(values.astype(np.float32))[source.roles == FREE]


def _weights(layer: Layer, index: int, seed: int, init: WeightInit) -> NDArray[np.float32]:
    """He et al. 2015 for ReLU: every init has standard deviation sqrt(2 / fan_in)."""
    deviation = np.sqrt(2.0 / layer.fan_in)
    if init == "kaiming_normal":
        values = deviation * streams.normal(seed, "weights", index, layer.size)
    else:
        centred = 2.0 * streams.uniform(seed, "weights", index, layer.size) - 1.0
        if init == "kaiming_uniform":
            values = (np.sqrt(3.0) * deviation) * centred
        else:  # signed Kaiming constant: Ramanujan et al. 2020, section 3.2
            values = np.where(centred < 0, -deviation, deviation)
    return values.astype(np.float32)


def _roles(size: int, pruned: int, locked: int, seed: int, index: int) -> NDArray[np.uint8]:
    """Uniformly random positions: the smallest random keys are pruned, the next ones locked.

    The keys do not depend on the budget, so raising the prune ratio only adds to what is pruned.
    """
    roles = np.full(size, FREE, dtype=np.uint8)
    if pruned + locked:
        order = np.argsort(streams.words(seed, "roles", index, size), kind="stable")
        roles[order[:pruned]] = PRUNED
        roles[order[pruned : pruned + locked]] = LOCKED
    return roles
