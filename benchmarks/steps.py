"""Steps of a search and of weight training, on toy data, that benchmarks take in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from slt_bench.compute.world import ALONE
from slt_bench.networks import registry
from slt_bench.networks.budget import freeze
from slt_bench.networks.roles import random_roles
from slt_bench.networks.source import SourceNetwork, make_source
from slt_bench.params.recipes import Recipe, Scale
from slt_bench.search.methods.contract import Method, Search
from slt_bench.search.methods.edge_popup import EdgePopup
from slt_bench.search.steps.gradient import BatchGradient
from slt_bench.search.steps.mask_statistics import MaskStatistics
from slt_bench.search.steps.microbatch import MicrobatchStatistics
from slt_bench.search.steps.optimizer import Sgd
from slt_bench.search.steps.replay import Replay
from slt_bench.search.steps.step import Step
from slt_bench.ticket.masked_network import MaskedNetwork

EDGE_POPUP = EdgePopup(kind="edge-popup")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def _module(kind: str, image: int, width: float, batch_norm: bool) -> nn.Module:
    stem, classes = ("cifar", 10) if image == 32 else ("imagenet", 1000)
    return registry.build(kind, width, image, classes, batch_norm, stem)


@cache
def _source(kind: str, image: int, width: float, batch_norm: bool, freezing_ratio: float) -> SourceNetwork:
    """Drawn once, since that takes seconds; it is only read."""
    layers, half = registry.searchable_layers(_module(kind, image, width, batch_norm)), freezing_ratio / 2
    budget = freeze([layer.shape for layer in layers], half, half, "epl", "joint")
    return make_source(layers, 0, "kaiming_uniform", random_roles(0, budget))


@dataclass(frozen=True)
class Case:
    """A network, a batch and what is frozen."""

    kind: str
    batch: int
    image: int = 32
    freezing_ratio: float = 0.0
    precision: str = "float32"  # or tf32, which is float32 with another switch, or bfloat16
    scale: Scale = "none"
    width: float = 1.0
    batch_norm: bool = False  # of a conv network, as in the papers' codes
    compiled: bool = False

    def build(self) -> tuple[nn.Module, SourceNetwork]:
        """The bare network and its source: half of what is frozen is pruned, half locked."""
        module = _module(self.kind, self.image, self.width, self.batch_norm)
        return module, _source(self.kind, self.image, self.width, self.batch_norm, self.freezing_ratio)

    def data(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Random images (channels last, as the loader gives them) and labels."""
        images = torch.randn(self.batch, 3, self.image, self.image).contiguous(memory_format=torch.channels_last)
        return images.to(DEVICE), torch.randint(0, 10, (self.batch,)).to(DEVICE)


def weight_training_step(case: Case) -> Callable[[], None]:
    """A step of training the plain module's weights, channels last, with torch's own SGD and autocast: the usual way."""
    module, source = case.build()
    for layer in source.layers:
        owner = module.get_submodule(layer.name.removesuffix(".weight"))
        owner.weight = nn.Parameter(layer.view(source.weights).clone())
    module = module.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images, labels = case.data()

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=case.precision == "bfloat16"):
            loss = cross_entropy(module(images), labels)
        loss.backward()
        optimizer.step()

    return step


def step_of(case: Case, search: Search = EDGE_POPUP) -> Step:
    """A step of a search at sparsity 0.5 with all statistics, as in `Trainer`."""
    module, source = case.build()
    microbatches = MicrobatchStatistics(module, 1, ALONE, torch.device(DEVICE))
    dtype = torch.bfloat16 if case.precision == "bfloat16" else torch.float32
    network = MaskedNetwork(module, source.to(DEVICE), case.scale, dtype, case.compiled, with_gradient=True).train()
    recipe = Recipe(epochs=10, batch_size=2, learning_rate=0.01)
    method: Method[Any] = search.algorithm(search, network, search.phases(recipe, case.freezing_ratio / 2, 0.5), recipe, seed=0)
    gradient = BatchGradient(network, method, microbatches, ALONE, 0.0)
    return Step(method, gradient, Sgd(method.learned, 0.9, 1e-4), MaskStatistics(method.learned.numel(), DEVICE))


def search_step(case: Case, search: Search = EDGE_POPUP, graphs: bool = False) -> tuple[Callable[[], None], Method[Any]]:
    """A call that does a search's step on the same random images each time, as a CUDA graph if wanted; and the method."""
    step = step_of(case, search)
    do_step = Replay(step, graphs) if DEVICE == "cuda" and graphs else step
    images, labels = case.data()
    step.set_rate(0.01)
    step.compose(0)
    return lambda: do_step(images, labels, 0, 1, 0.01), step.method
