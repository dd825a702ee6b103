"""Batch-norm statistics of a settled subnetwork, where the steps of a search have seen others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from slt_bench.networks.registry import batch_norms
from slt_bench.search.steps.microbatch import MicrobatchStatistics
from slt_bench.ticket.masked_network import MaskedNetwork

if TYPE_CHECKING:
    from slt_bench.data.loader import Loader


@torch.no_grad()
def gather_statistics(network: MaskedNetwork, microbatches: MicrobatchStatistics, loader: Loader, epoch: int) -> None:
    """Gather the statistics of all batch norms afresh: their means over an epoch's batches; nothing is learned.

    The result depends on the subnetwork and the epoch alone, so that an epoch that was stopped may end twice.

    Args:
        network: composed as a ticket will have it.
        microbatches: of the network; all get the mean of their statistics.
        loader: of the training images.
        epoch: from 0: whose images.
    """
    norms = batch_norms(network.module)
    usual = [norm.momentum for norm in norms]
    calls = Counter[tuple[nn.Module, int]]()  # of a norm in a micro-batch; a network may call one norm several times
    place = 0

    def count(norm: Any, _inputs: object) -> None:
        calls[norm, place] += 1
        norm.momentum = 1 / calls[norm, place]

    hooks = [norm.register_forward_pre_hook(count) for norm in norms]
    microbatches.reset()
    network.train()
    for images, _ in loader.epoch(epoch):
        size = len(images) // len(microbatches.local)
        for place, microbatch in enumerate(microbatches.local):
            microbatches.enter(microbatch)
            network.without_compiling(images[place * size : (place + 1) * size])
            microbatches.leave(microbatch)
    for norm, hook, momentum in zip(norms, hooks, usual, strict=True):
        hook.remove()
        norm.momentum = momentum
    microbatches.merge()
