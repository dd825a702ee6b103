"""Architectures by name: build one, list its searchable layers, read and set its batch-norm statistics."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from slt_bench.common.errors import BenchError


@dataclass(frozen=True)
class Layer:
    """One searchable weight tensor and its place in the flat vector of all N edges."""

    name: str  # of the parameter, as in the module's state dict
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Number of edges of the layer."""
        return prod(self.shape)

    @property
    def stop(self) -> int:
        """The position in the flat vector at which the next layer starts."""
        return self.start + self.size

    @property
    def fan_in(self) -> int:
        """Number of edges that lead to one output unit."""
        return prod(self.shape[1:])

    def view(self, vector: Tensor) -> Tensor:
        """Take the layer's part of a flat vector, in the shape of its weight.

        A convolution's edges lie channels last, in the order [out, height, width, in]: the order in which its kernels run
        fastest, so that no step has to reorder them (docs/performance.md).

        Args:
            vector: [N], of any type.

        Returns:
            A view into `vector`: [out, in] of a linear layer, [out, in, height, width] of a convolution.
        """
        part = vector[self.start : self.stop]
        if len(self.shape) != 4:
            return part.view(self.shape)
        outputs, inputs, height, width = self.shape
        return part.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


def build(kind: str, width: float, image_size: int, classes: int, batch_norm: bool = True, stem: str = "cifar") -> nn.Module:
    """Build an architecture as a plain module with fresh batch-norm statistics and without weights.

    Its parameters are on the meta device and hold no memory: whoever uses the module hands it the weights
    (`torch.func.functional_call`).

    Args:
        kind: `conv2` to `conv8`, or a name of networks/resnet.py.
        width: factor on the number of channels, above 0.
        image_size: height and width of the input in pixels.
        classes: number of outputs.
        batch_norm: whether a conv network has batch norms; every ResNet does.
        stem: of a ResNet: `cifar` or `imagenet`.

    Returns:
        The module, in training mode.
    """
    with torch.device("meta"):
        if kind.startswith("conv"):
            from slt_bench.networks.conv import conv

            module: nn.Module = conv(int(kind[4:]), width, image_size, classes, batch_norm)
        else:
            from slt_bench.networks.resnet import resnet

            module = resnet(kind, stem, width, classes)
    count = channels(module)
    set_batch_norm_statistics(module, torch.zeros(count), torch.ones(count))
    return module


def searchable_layers(module: nn.Module) -> tuple[Layer, ...]:
    """List every convolution and linear layer in module order, laid end to end."""
    layers: list[Layer] = []
    start = 0
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            layer = Layer(f"{name}.weight", tuple(part.weight.shape), start)
            layers.append(layer)
            start = layer.stop
    return tuple(layers)


def batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    """List the batch norms of a module in module order."""
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


def channels(module: nn.Module) -> int:
    """Count the channels of all batch norms: a module has as many running means, and as many running variances."""
    return sum(norm.num_features for norm in batch_norms(module))


def batch_norm_statistics(module: nn.Module) -> tuple[Tensor, Tensor]:
    """Read the running statistics of all batch norms in module order, laid end to end, on the CPU.

    Returns:
        Means and variances, each float32[channels].
    """
    norms = batch_norms(module)
    if not norms:
        return torch.zeros(0), torch.zeros(0)
    mean = torch.cat([norm.running_mean for norm in norms if norm.running_mean is not None])
    var = torch.cat([norm.running_var for norm in norms if norm.running_var is not None])
    return mean.cpu(), var.cpu()


def set_batch_norm_statistics(module: nn.Module, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Set the running statistics of all batch norms, and with them the device of the module.

    Args:
        module: whose batch norms they are.
        mean: float32[channels], running means in module order.
        var: float32[channels], running variances, at least 0.

    Returns:
        Copies of both vectors, which the batch norms use and update from now on.

    Raises:
        BenchError: their number does not fit the module.
    """
    norms = batch_norms(module)
    sizes = [norm.num_features for norm in norms]
    if mean.shape != (sum(sizes),) or var.shape != (sum(sizes),):
        raise BenchError(f"{mean.numel()} batch-norm statistics for a network with {sum(sizes)} channels")
    mean, var = mean.clone(), var.clone()
    for norm, norm_mean, norm_var in zip(norms, mean.split(sizes), var.split(sizes), strict=True):
        norm.running_mean, norm.running_var = norm_mean, norm_var
        norm.num_batches_tracked = torch.zeros((), dtype=torch.long, device=mean.device)
    return mean, var
