"""Source networks: the weight and the role of every edge, drawn from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.common import random
from slt_bench.networks.budget import Budget
from slt_bench.networks.registry import Layer
from slt_bench.networks.roles import FREE, count_roles
from slt_bench.params.recipes import ScoreInit, WeightInit


@dataclass(frozen=True)
class SourceNetwork:
    """A source network as flat vectors over all N edges."""

    layers: tuple[Layer, ...]
    weights: Tensor  # float32[N], never trained
    roles: Tensor  # uint8[N]: FREE, PRUNED or LOCKED
    is_of_ticket: bool = False  # whether the roles were taken from one

    @property
    def size(self) -> int:
        """N, the number of all edges."""
        return self.weights.numel()

    def count(self, role: int) -> int:
        """Count the edges that have a role: FREE, PRUNED or LOCKED."""
        return int((self.roles == role).sum())

    @property
    def budget(self) -> Budget:
        """Numbers of pruned, locked and free edges of each layer."""
        return count_roles(self.layers, self.roles)

    def to(self, device: torch.device | str) -> SourceNetwork:
        """Copy the source network to a device; tensors that are there already are shared."""
        return replace(self, weights=self.weights.to(device), roles=self.roles.to(device))


def make_source(layers: Sequence[Layer], seed: int, weight_init: WeightInit, roles: Tensor) -> SourceNetwork:
    """Draw the weights of a source network; they depend on seed, layer and init alone, so every kind of source shares them.

    Args:
        layers: of the network.
        seed: of the streams of random numbers.
        weight_init: the distribution.
        roles: uint8[N]: FREE, PRUNED or LOCKED.

    Returns:
        The source network, on the CPU.
    """
    weights = np.concatenate([_weights(layer, index, seed, weight_init) for index, layer in enumerate(layers)])
    return SourceNetwork(tuple(layers), torch.from_numpy(weights), roles)


def redrawn_weights(source: SourceNetwork, seed: int, weight_init: WeightInit, draws: Tensor) -> Tensor:
    """Draw the weights of free edges as often as each says: its weight is the last draw, from a stream of its own.

    Args:
        source: whose weights are the first draw, number 0.
        seed: of the streams of random numbers.
        weight_init: the distribution.
        draws: uint8[N_free], number of the draw that each edge has.

    Returns:
        float32[N_free], on the device of `draws`.
    """
    free = source.roles.cpu() == FREE
    numbers = np.zeros(source.size, np.uint8)
    numbers[free.numpy()] = draws.cpu().numpy()
    weights = source.weights.cpu().numpy().copy()
    for index, layer in enumerate(source.layers):
        part, of_layer = slice(layer.start, layer.stop), numbers[layer.start : layer.stop]
        for draw in np.unique(of_layer[of_layer > 0]).tolist():
            drawn = _weights(layer, index + draw * len(source.layers), seed, weight_init, "redrawn-weights")
            weights[part] = np.where(of_layer == draw, drawn, weights[part])
    return torch.from_numpy(weights)[free].to(draws.device)


def initial_scores(source: SourceNetwork, seed: int, init: ScoreInit = "kaiming_normal", draw: int = 0) -> Tensor:
    """Draw the scores that a search starts from.

    kaiming_normal has standard deviation sqrt(2 / fan_in) (Otsuka et al. 2025), kaiming_uniform with a = sqrt 5 is uniform
    within 1 / sqrt(fan_in) (Ramanujan et al. 2020, their code), constant is sqrt(2 / fan_in).

    Args:
        source: on the CPU; says which edges are free.
        seed: of the streams of random numbers.
        init: the distribution.
        draw: how often scores were drawn before, from 0.

    Returns:
        float32[N_free].
    """
    purpose = _purpose(source, draw)
    parts = []
    for index, layer in enumerate(source.layers):
        stream = index + draw * len(source.layers)
        if init == "kaiming_normal":
            scores = random.normal(seed, purpose, stream, layer.size) * np.sqrt(2.0 / layer.fan_in)
        elif init == "kaiming_uniform":
            scores = (2.0 * random.uniform(seed, purpose, stream, layer.size) - 1.0) / np.sqrt(layer.fan_in)
        else:
            scores = np.full(layer.size, np.sqrt(2.0 / layer.fan_in))
        parts.append(scores.astype(np.float32)[source.roles[layer.start : layer.stop].numpy() == FREE])
    return torch.from_numpy(np.concatenate(parts))


def uniform_scores(source: SourceNetwork, seed: int) -> Tensor:
    """Draw scores whose largest are a uniformly random subset of the free edges: the random-mask control.

    Args:
        source: on the CPU; says which edges are free.
        seed: of the streams of random numbers.

    Returns:
        float32[N_free] in (0, 1).
    """
    values = np.concatenate([random.uniform(seed, _purpose(source), i, layer.size) for i, layer in enumerate(source.layers)])
    return torch.from_numpy(values.astype(np.float32))[source.roles == FREE]


def _purpose(source: SourceNetwork, draw: int = 0) -> random.Purpose:
    """Name the stream of scores: inside a ticket another, since by the usual one of this seed the ticket was chosen."""
    if source.is_of_ticket:
        return "new-scores-in-ticket" if draw else "scores-in-ticket"
    return "new-scores" if draw else "scores"


def _weights(layer: Layer, index: int, seed: int, init: WeightInit, purpose: random.Purpose = "weights") -> NDArray[np.float32]:
    """Draw a layer's weights; every init has standard deviation sqrt(2 / fan_in) (He et al. 2015, for ReLU)."""
    deviation = np.sqrt(2.0 / layer.fan_in)
    if init == "kaiming_normal":
        values = deviation * random.normal(seed, purpose, index, layer.size)
    else:
        centred = 2.0 * random.uniform(seed, purpose, index, layer.size) - 1.0
        if init == "kaiming_uniform":
            values = (np.sqrt(3.0) * deviation) * centred
        else:  # signed Kaiming constant: Ramanujan et al. 2020, section 3.2
            values = np.where(centred < 0, -deviation, deviation)
    return values.astype(np.float32)
