"""The gradient of a training batch: micro-batch by micro-batch, and over all processes. Its rule is in `methods/`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from slt_bench.compute.world import World
from slt_bench.search.methods.contract import Method
from slt_bench.search.steps.microbatch import MicrobatchStatistics, tree_sum
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.top_k import Diverged


class BatchGradient:
    """The forward and backward pass of a batch under the effective weights that an algorithm has composed.

    Attributes:
        losses: float64[micro-batches of this process], mean loss of each in the last batch; overwritten by the next.
        correct: int64[], how many of this process's images of the last batch were classified correctly; overwritten too.
    """

    def __init__(
        self,
        network: MaskedNetwork,
        method: Method[Any],
        microbatches: MicrobatchStatistics,
        world: World,
        label_smoothing: float,
    ) -> None:
        """Take the parts that a pass goes through.

        Args:
            network: the network under its mask.
            method: the algorithm that turns gradients by weights into those by what it learns.
            microbatches: the batch-norm statistics of the parts of a batch.
            world: the processes that share a batch.
            label_smoothing: of the training loss, in [0, 1).
        """
        self.network, self.method, self.microbatches, self.world = network, method, microbatches, world
        self.label_smoothing, self.learns = label_smoothing, method.search.learns != "nothing"
        device = network.mask.device
        self.losses = torch.zeros(len(microbatches.local), dtype=torch.float64, device=device)
        self.correct = torch.zeros((), dtype=torch.long, device=device)

    def of(self, images: Tensor, labels: Tensor) -> Tensor | None:
        """Compute the mean gradient of what is learned over a batch; losses and hits are then in `losses` and `correct`.

        Args:
            images: float32[images, 3, size, size], this process's part of the batch.
            labels: int64[images], their classes.

        Returns:
            float32[N_free], the same in every process, or None where nothing is learned.

        Raises:
            Diverged: the loss is NaN or infinite; on a GPU nobody looks, since looking would make it wait.
        """
        local = self.microbatches.local
        size = len(labels) // len(local)
        self.correct.zero_()

        def of_microbatch(microbatch: int) -> Tensor:
            place = microbatch - local.start
            part = slice(place * size, (place + 1) * size)
            self.microbatches.enter(microbatch)
            with torch.set_grad_enabled(self.learns):
                logits = self.network(images[part])
                loss = cross_entropy(logits, labels[part], label_smoothing=self.label_smoothing)
            self.microbatches.leave(microbatch)
            if not loss.is_cuda and not math.isfinite(loss.item()):
                raise Diverged(f"the loss is {loss.item()}")
            self.losses[place] = loss.detach()
            self.correct += (logits.argmax(1) == labels[part]).sum()
            if not self.learns:
                return loss
            loss.backward()
            return self.method.gradient(self.network.collect_gradient())

        gradient = tree_sum(local, of_microbatch)
        if not self.learns:
            return None
        self.world.add(gradient)
        return gradient.div_(self.microbatches.count) if self.microbatches.count > 1 else gradient
