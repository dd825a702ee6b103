"""Source networks: weights and roles of every edge, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.common import random
from slt_bench.networks.layouts import Budget
from slt_bench.networks.registry import Layer
from slt_bench.params.recipes import ScoreInit, WeightInit

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

    @property
    def budget(self) -> Budget:
        """Edges of each layer by role."""
        return count_roles(self.layers, self.roles)

    def to(self, device: torch.device | str) -> SourceNetwork:
        """The same source network on another device."""
        return SourceNetwork(self.layers, self.weights.to(device), self.roles.to(device))


def count_roles(layers: Sequence[Layer], roles: Tensor) -> Budget:
    """Edges of each layer by role; `roles` is uint8[N]."""
    sizes = np.array([layer.size for layer in layers], dtype=np.int64)
    pruned, locked = (
        np.array([int((roles[layer.start : layer.stop] == role).sum()) for layer in layers], dtype=np.int64)
        for role in (PRUNED, LOCKED)
    )
    return Budget(sizes, pruned, locked)


def make_source(layers: Sequence[Layer], seed: int, weight_init: WeightInit, roles: Tensor) -> SourceNetwork:
    """Draw the weights; they depend on seed, layer and init alone, so every kind of source shares them."""
    weights = np.concatenate([_weights(layer, index, seed, weight_init) for index, layer in enumerate(layers)])
    return SourceNetwork(tuple(layers), torch.from_numpy(weights), roles)


def random_roles(seed: int, budget: Budget) -> Tensor:
    """uint8[N]: uniformly random positions inside each layer, as many as the budget says."""
    counts = zip(budget.sizes.tolist(), budget.pruned.tolist(), budget.locked.tolist(), strict=True)
    parts = [_roles(size, pruned, locked, seed, index) for index, (size, pruned, locked) in enumerate(counts)]
    return torch.from_numpy(np.concatenate(parts))


def roles_from_ticket(kept: Tensor, sizes: Sequence[int], seed: int, pruned: int, locked: int, shuffled: bool) -> Tensor:
    """uint8[N]: of what a ticket drops, `pruned` random edges are pruned; of what it keeps, `locked` random ones locked.

    The oracle of the papers: a source network whose frozen edges are all where the ticket has them.

    Args:
        kept: bool[N], the ticket's non-zero edges, locked ones included.
        sizes: edges of each layer.
        seed: of the choice.
        pruned, locked: at most as many as the ticket drops, keeps.
        shuffled: permute the ticket inside each layer first, which leaves it its density in every layer alone.
    """
    found = kept.numpy()
    if shuffled:
        parts = np.split(found, np.cumsum(sizes)[:-1])
        found = np.concatenate([part[random.permutation(seed, "shuffle", i, len(part))] for i, part in enumerate(parts)])
    keys = np.concatenate([random.words(seed, "roles", index, size) for index, size in enumerate(sizes)])
    order = np.argsort(keys, kind="stable")
    roles = np.full(len(found), FREE, dtype=np.uint8)
    roles[order[~found[order]][:pruned]] = PRUNED
    roles[order[found[order]][:locked]] = LOCKED
    return torch.from_numpy(roles)


def initial_scores(source: SourceNetwork, seed: int, init: ScoreInit = "kaiming_normal", draw: int = 0) -> Tensor:
    """float32[N_free]: scores to start from; `draw` counts how often they were drawn before.

    kaiming_normal has standard deviation sqrt(2 / fan_in) (Otsuka et al. 2025), kaiming_uniform with a = sqrt 5 is uniform
    within 1 / sqrt(fan_in) (Ramanujan et al. 2020, their code), constant is sqrt(2 / fan_in).
    """
    purpose: random.Purpose = "new-scores" if draw else "scores"
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
    """Scores whose largest are a uniformly random subset of the free edges: the random-mask control."""
    values = np.concatenate([random.uniform(seed, "scores", i, layer.size) for i, layer in enumerate(source.layers)])
    return torch.from_numpy(values.astype(np.float32))[source.roles == FREE]


def _weights(layer: Layer, index: int, seed: int, init: WeightInit) -> NDArray[np.float32]:
    """He et al. 2015 for ReLU: every init has standard deviation sqrt(2 / fan_in)."""
    deviation = np.sqrt(2.0 / layer.fan_in)
    if init == "kaiming_normal":
        values = deviation * random.normal(seed, "weights", index, layer.size)
    else:
        centred = 2.0 * random.uniform(seed, "weights", index, layer.size) - 1.0
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
        order = np.argsort(random.words(seed, "roles", index, size), kind="stable")
        roles[order[:pruned]] = PRUNED
        roles[order[pruned : pruned + locked]] = LOCKED
    return roles
