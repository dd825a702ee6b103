"""Architectures: build one of ours or anybody's, list its searchable layers, read and set its batch-norm statistics."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from slt_bench.common.errors import BenchError
from slt_bench.params.networks import AnyNetwork, FactoryNetwork, FoldedNetwork

SEARCHABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)  # modules whose weights are edges
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


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
            A view into `vector`: [out, in] of a linear layer, [out, in, height, width] of a convolution. The edges of a
            convolution of one or three dimensions lie in the order of its weight, [out, in, ...].
        """
        part = vector[self.start : self.stop]
        if len(self.shape) != 4:
            return part.view(self.shape)
        outputs, inputs, height, width = self.shape
        return part.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


def architecture(network: AnyNetwork, image_size: int, classes: int) -> nn.Module:
    """Build the architecture that params.yaml or the header of a ticket declares, as `build` does.

    Args:
        network: the declaration.
        image_size: height and width of the input in pixels.
        classes: number of outputs.

    Raises:
        BenchError: a factory's module is none that can be searched, or does not take such images.
    """
    if isinstance(network, FactoryNetwork):
        from slt_bench.networks.factory import build_foreign

        return build_foreign(network, image_size, classes)
    if isinstance(network, FoldedNetwork):
        from slt_bench.networks.folded import folded_resnet

        with torch.device("meta"):
            module: nn.Module = folded_resnet(network.kind, network.stem, network.width, classes, network.folded_stages)
        return _fresh(module)
    return build(network.kind, network.width, image_size, classes, network.batch_norm, network.stem)


def build(kind: str, width: float, image_size: int, classes: int, batch_norm: bool = True, stem: str = "cifar") -> nn.Module:
    """Build an architecture of ours as a plain module with fresh batch-norm statistics and without weights.

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
    return _fresh(module)


def _fresh(module: nn.Module) -> nn.Module:
    """Give a module fresh batch-norm statistics, and return it."""
    count = channels(module)
    set_batch_norm_statistics(module, torch.zeros(count), torch.ones(count))
    return module


def searchable_layers(module: nn.Module) -> tuple[Layer, ...]:
    """List every convolution and linear layer in module order, laid end to end."""
    layers: list[Layer] = []
    start = 0
    for name, part in module.named_modules():
        if isinstance(part, SEARCHABLE):
            layer = Layer(f"{name}.weight", tuple(part.weight.shape), start)
            layers.append(layer)
            start = layer.stop
    return tuple(layers)


def batch_norms(module: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]:
    """List the batch norms of a module in module order."""
    return [part for part in module.modules() if isinstance(part, BATCH_NORMS)]


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
    for part in module.modules():
        for name, values in part._buffers.items():  # those of somebody's own module; the loop above has set all of ours
            if values is not None:
                part._buffers[name] = values.to(mean.device)
    return mean, var
