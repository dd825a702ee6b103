"""Networks of anybody's: the module of a factory as one that can be searched, or the reason why it cannot.

What a ticket stores is a mask over one vector of edges, and batch-norm statistics. Everything else in a module has to follow
from its factory:

- weights of convolutions (1d, 2d, 3d) and linear layers are the edges; they are drawn from the cell's seed;
- their biases, and the biases and scales of norms (batch, layer, group, instance, RMS), are left out, which is a bias of 0 and
  a scale of 1: they are never searched;
- buffers, such as a table of positions, keep the values that the factory gives them, in float32;
- any other parameter is refused by its name, and so is what draws random numbers in training or keeps a state that is in no
  ticket: a search that is stopped could not go on with the same bits.
"""

from __future__ import annotations

import json
from functools import lru_cache

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.lazy import LazyModuleMixin

from slt_bench.common.errors import BenchError
from slt_bench.networks.registry import BATCH_NORMS, SEARCHABLE, channels, searchable_layers, set_batch_norm_statistics
from slt_bench.networks.trial import apart, try_out
from slt_bench.params.networks import FactoryNetwork

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def build_foreign(network: FactoryNetwork, image_size: int, classes: int) -> nn.Module:
    """Build the module of a factory, its searchable weights on the meta device and its batch-norm statistics fresh.

    Args:
        network: names the factory and its options.
        image_size: height and width of the input in pixels.
        classes: number of outputs.

    Returns:
        The module, in training mode. The first time in a process another one is built and tried out too.

    Raises:
        BenchError: naming the network, the part of it that cannot be searched, and why.
    """
    _try(network.kind, json.dumps(network.options), image_size, classes)
    module = _neutral(network, image_size, classes, seed=0)
    for layer in searchable_layers(module):
        owner = module.get_submodule(layer.name.removesuffix(".weight"))
        owner.weight = nn.Parameter(torch.empty(layer.shape, device="meta"))
    count = channels(module)
    set_batch_norm_statistics(module, torch.zeros(count), torch.ones(count))
    return module


@lru_cache(maxsize=100)
def _try(kind: str, options: str, image_size: int, classes: int) -> None:
    """Try a factory out; `options` are its JSON. That nothing is raised is remembered."""
    network = FactoryNetwork(kind=kind, options=json.loads(options))
    one, other = (_neutral(network, image_size, classes, seed) for seed in (1, 2))
    if searchable_layers(one) != searchable_layers(other):
        raise _refusal(network, "its factory gives other layers each time")
    others = dict(other.named_buffers())
    for name, values in one.named_buffers():
        if name not in others or not torch.equal(values, others[name]):
            raise _refusal(network, f"the buffer {name} is not the same in two builds: its values may not be random")
    if reason := try_out(one, image_size, classes):
        raise _refusal(network, reason)


def _neutral(network: FactoryNetwork, image_size: int, classes: int, seed: int) -> nn.Module:
    """Call a factory on the CPU, under a seed of its own, and leave out biases and scales of norms.

    Raises:
        BenchError: the factory fails, or the module has a part that cannot be searched.
    """
    with apart(seed), torch.device("cpu"):
        try:
            module = network.factory(image_size=image_size, classes=classes, **network.options)
        except BenchError:
            raise
        except Exception as error:  # whatever a foreign factory does
            raise _refusal(network, f"its factory fails: {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise _refusal(network, f"its factory gives a {type(module).__name__}, and no torch module")
    if isinstance(module, SEARCHABLE):
        raise _refusal(
            network, f"it is a {type(module).__name__} itself: put that inside a module, so that its weight has a name"
        )
    for name, part in module.named_modules():
        if reason := _fault(part):
            raise _refusal(network, f"{name or 'the module itself'} ({type(part).__name__}) {reason}")
        if isinstance(part, SEARCHABLE):
            part.register_parameter("bias", None)
        elif isinstance(part, _NORMS):
            for parameter in part._parameters:
                part.register_parameter(parameter, None)
    _check_parameters(network, module)
    return module.train()


def _fault(part: nn.Module) -> str:
    """Say why a part of a module cannot be searched or resumed; empty if it can."""
    if isinstance(part, LazyModuleMixin):
        return "is lazy: give it its sizes"
    if isinstance(part, BATCH_NORMS):
        if part.running_mean is None:
            return "has no running statistics, and would evaluate each image by the others of its batch"
        return "has momentum None: the number of batches that it averages is in no saved state" if part.momentum is None else ""
    if isinstance(part, _NormBase) and part.running_mean is not None:
        return "has running statistics that no ticket holds: only those of batch norms are stored"
    return ""


def _check_parameters(network: FactoryNetwork, module: nn.Module) -> None:
    """Refuse parameters that are no edges, and edges that two parts share.

    Raises:
        BenchError: naming the parameter.
    """
    edges = {layer.name for layer in searchable_layers(module)}
    names: dict[int, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if first := names.get(id(parameter)):
            raise _refusal(network, f"{first} and {name} are one parameter: register its module once, and call that twice")
        names[id(parameter)] = name
        if name not in edges:
            raise _refusal(
                network,
                f"the parameter {name} is no weight of a convolution or linear layer, and can be neither searched nor left "
                "out: make it a buffer of fixed values, or a linear layer",
            )
    if missing := sorted(edges - set(names.values())):
        raise _refusal(network, f"{missing[0]} is no parameter of its own: parametrizations cannot be searched")
    if not edges:
        raise _refusal(network, "it has no convolution and no linear layer")


def _refusal(network: FactoryNetwork, reason: str) -> BenchError:
    return BenchError(f"network {network.kind} cannot be searched: {reason}")
