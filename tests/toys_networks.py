"""A small network under a mask, and edge-popup's formula for it, one layer at a time."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from slt_bench.networks import registry
from slt_bench.networks.budget import freeze
from slt_bench.networks.roles import FREE, LOCKED, random_roles
from slt_bench.networks.source import make_source
from slt_bench.params.recipes import Scale
from slt_bench.ticket.masked_network import MaskedNetwork

SOURCES = {"dense": (0.0, 0.0), "pruned": (0.4, 0.0), "frozen": (0.25, 0.25)}


def make_network(source: str = "frozen", scale: Scale = "none", with_gradient: bool = True) -> MaskedNetwork:
    """A Conv-2 for images of 8 pixels and ten classes."""
    module = registry.build("conv2", 0.125, 8, 10)
    layers = registry.searchable_layers(module)
    roles = random_roles(0, freeze([x.shape for x in layers], *SOURCES[source], "epl", "joint"))
    drawn = make_source(layers, 0, "kaiming_uniform", roles)
    return MaskedNetwork(module, drawn, scale, with_gradient=with_gradient)


def naive_weights(network: MaskedNetwork, multiplier: Tensor) -> dict[str, Tensor]:
    """The effective weights of each layer as the papers write them; the multiplier of free edges is their mask.

    Args:
        network: gives weights, roles and scale.
        multiplier: float32[N] of the free edges; its gradient is that of a mask without the scale's own.
    """
    roles, total = network.source.roles, network.source.size
    multiplier = torch.where(roles == FREE, multiplier, (roles == LOCKED).float())
    kept = multiplier.detach()
    weights = {}
    for layer in network.source.layers:
        part = slice(layer.start, layer.stop)
        density = {"none": 1.0, "static": float(kept.sum()) / total,
                   "dynamic": float(kept[part].sum()) / layer.size}[network.scale]  # fmt: skip
        factor = 1 / sqrt(density) if density else 0.0
        weights[layer.name] = layer.view(network.source.weights) * layer.view(multiplier) * factor
    return weights
