"""Metrics of networks on a split: loss, top-1 and top-5 accuracy, confusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from slt_bench.compute.world import ALONE, World

if TYPE_CHECKING:
    from slt_bench.data.loader import Loader


@dataclass(frozen=True)
class Metrics:
    """The metrics of a network on one split."""

    images: int
    loss: float  # mean cross-entropy
    top1: float  # in percent
    top5: float  # in percent; 100 where there are at most five classes
    confusion: list[list[int]]  # [true class][predicted class]

    @property
    def correct(self) -> int:
        """Number of images whose class comes first."""
        return round(self.top1 * self.images / 100)


class _Tally:
    """Running sums of one network's metrics, over this process's batches."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self.classes, self.device = classes, device
        self.batch_losses: list[Tensor] = []
        self.in_top5 = torch.zeros((), dtype=torch.long, device=device)
        self.confusion = torch.zeros(classes * classes, dtype=torch.long, device=device)

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self.batch_losses.append(cross_entropy(logits, labels, reduction="sum").double())
        self.in_top5 += (logits.topk(min(5, self.classes)).indices == labels[:, None]).sum()
        self.confusion += torch.bincount(labels * self.classes + logits.argmax(1), minlength=self.classes**2)

    def metrics(self, batches: int, world: World) -> Metrics:
        """Put the sums of all processes together; losses are added up in the order of the batches, whoever measured them."""
        losses = torch.zeros(batches, dtype=torch.float64, device=self.device)
        for number, loss in enumerate(self.batch_losses):
            losses[world.rank + number * world.size] = loss
        matrix = world.total(self.confusion).view(self.classes, self.classes).cpu()
        images = int(matrix.sum())
        return Metrics(
            images=images,
            loss=float(world.total(losses).sum()) / images,
            top1=100 * int(matrix.diagonal().sum()) / images,
            top5=100 * int(world.total(self.in_top5)) / images,
            confusion=matrix.tolist(),
        )


@torch.no_grad()
def measure(
    networks: Sequence[nn.Module],
    loader: Loader,
    classes: int,
    world: World = ALONE,
    before_batch: Callable[[int, int], None] | None = None,
) -> list[Metrics]:
    """Run networks in evaluation mode over a loader's images, which are read once; each counts once.

    Args:
        networks: from images to logits, on the loader's device; their mode is as before afterwards.
        loader: of this process's share of the images.
        classes: number of classes.
        world: the processes that share the images.
        before_batch: called before every batch with its number in this process, and the number of batches of every process.

    Returns:
        The metrics of each network, over the images of all processes.
    """
    were_training = [network.training for network in networks]
    tallies = [_Tally(classes, torch.device(loader.device)) for _ in networks]
    for network in networks:
        network.eval()
    for number, (images, labels) in enumerate(loader.epoch()):
        if before_batch is not None:
            before_batch(number, len(loader) // world.size)
        for network, tally in zip(networks, tallies, strict=True):
            tally.add(network(images).float(), labels)
    for network, training in zip(networks, were_training, strict=True):
        network.train(training)
    return [tally.metrics(len(loader), world) for tally in tallies]
