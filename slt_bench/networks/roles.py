"""Roles of edges: which the search decides, which are pruned, and which are locked; drawn from a seed, or from a ticket."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.common import random
from slt_bench.networks.budget import Budget
from slt_bench.networks.registry import Layer

FREE, PRUNED, LOCKED = 0, 1, 2  # roles: the search decides, always zero, always kept


def count_roles(layers: Sequence[Layer], roles: Tensor) -> Budget:
    """Count the edges of each layer by their role.

    Args:
        layers: of the network.
        roles: uint8[N]: FREE, PRUNED or LOCKED.

    Returns:
        The budget that the roles fulfil.
    """
    sizes = np.array([layer.size for layer in layers], dtype=np.int64)
    pruned, locked = (
        np.array([int((roles[layer.start : layer.stop] == role).sum()) for layer in layers], dtype=np.int64)
        for role in (PRUNED, LOCKED)
    )
    return Budget(sizes, pruned, locked)


def random_roles(seed: int, budget: Budget) -> Tensor:
    """Draw roles: uniformly random positions inside each layer, as many as the budget says.

    Args:
        seed: of the streams of random numbers.
        budget: pruned and locked edges of each layer.

    Returns:
        uint8[N]: FREE, PRUNED or LOCKED; one byte in memory where all are free. It is only read.
    """
    if not budget.pruned.any() and not budget.locked.any():
        return torch.tensor([FREE], dtype=torch.uint8).expand(int(budget.sizes.sum()))
    counts = zip(budget.sizes.tolist(), budget.pruned.tolist(), budget.locked.tolist(), strict=True)
    parts = [_roles(size, pruned, locked, seed, index) for index, (size, pruned, locked) in enumerate(counts)]
    return torch.from_numpy(np.concatenate(parts))


def roles_from_ticket(kept: Tensor, sizes: Sequence[int], seed: int, pruned: int, locked: int, shuffled: bool) -> Tensor:
    """Take roles from a ticket: prune random edges among those that it drops, lock random ones among those that it keeps.

    The oracle of the papers: a source network whose frozen edges are all where the ticket has them.

    Args:
        kept: bool[N], the ticket's non-zero edges, locked ones included.
        sizes: edges of each layer.
        seed: of the choice.
        pruned: edges to prune, at most as many as the ticket drops.
        locked: edges to lock, at most as many as the ticket keeps.
        shuffled: permute the ticket inside each layer first, which leaves only its density in every layer.

    Returns:
        uint8[N]: FREE, PRUNED or LOCKED.
    """
    in_ticket = kept.numpy()
    if shuffled:
        parts = np.split(in_ticket, np.cumsum(sizes)[:-1])
        in_ticket = np.concatenate([part[random.permutation(seed, "shuffle", i, len(part))] for i, part in enumerate(parts)])
    keys = np.concatenate([random.words(seed, "roles", index, size) for index, size in enumerate(sizes)])
    order = np.argsort(keys, kind="stable")
    roles = np.full(len(in_ticket), FREE, dtype=np.uint8)
    roles[order[~in_ticket[order]][:pruned]] = PRUNED
    roles[order[in_ticket[order]][:locked]] = LOCKED
    return torch.from_numpy(roles)


def _roles(size: int, pruned: int, locked: int, seed: int, index: int) -> NDArray[np.uint8]:
    """Draw a layer's roles: the edges with the smallest random keys are pruned, those with the next ones locked.

    The keys do not depend on the budget, so raising the prune ratio only adds to what is pruned.
    """
    roles = np.full(size, FREE, dtype=np.uint8)
    if pruned + locked:
        order = np.argsort(random.words(seed, "roles", index, size), kind="stable")
        roles[order[:pruned]] = PRUNED
        roles[order[pruned : pruned + locked]] = LOCKED
    return roles
