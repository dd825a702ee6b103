"""Batch-norm statistics of a settled subnetwork, where the steps of a search have seen others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from slt_bench.networks.registry import batch_norms
from slt_bench.search.steps.microbatch import MicrobatchStatistics
from slt_bench.ticket.masked_network import MaskedNetwork

if TYPE_CHECKING:
    from slt_bench.data.loader import Loader


@torch.no_grad()
def gather_statistics(network: MaskedNetwork, microbatches: MicrobatchStatistics, loader: Loader, epoch: int) -> None:
    """Gather the statistics of all batch norms afresh: their means over the batches of an epoch; nothing is learned.

    The result depends on the subnetwork and the epoch alone, so that an epoch that was stopped may end twice.

    Args:
        network: composed as a ticket will have it.
        microbatches: of the network; all get the mean of their statistics.
        loader: of the training images.
        epoch: from 0: whose images.
    """
    norms = batch_norms(network.module)
    usual = [norm.momentum for norm in norms]
    microbatches.reset()
    network.train()
    for number, (images, _) in enumerate(loader.epoch(epoch)):
        for norm in norms:
            norm.momentum = 1 / (number + 1)
        size = len(images) // len(microbatches.local)
        for place, microbatch in enumerate(microbatches.local):
            microbatches.enter(microbatch)
            network.without_compiling(images[place * size : (place + 1) * size])
            microbatches.leave(microbatch)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    microbatches.merge()
