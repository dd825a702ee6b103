"""Each rival against its rule, written out naively with autograd, full sorts and torch's SGD: equal masks and weights."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from slt_bench.common import random
from slt_bench.networks.roles import FREE, LOCKED
from slt_bench.networks.source import initial_scores, uniform_scores
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import search_class
from slt_bench.search.methods.contract import Method
from slt_bench.search.schedules import Schedule
from slt_bench.search.steps.optimizer import Sgd
from slt_bench.ticket.masked_network import MaskedNetwork
from tests.toys_networks import make_network

STEPS, EPOCHS, RATE, SEED = 20, 5, 0.1, 0
RECIPE = Recipe(epochs=EPOCHS, batch_size=8, learning_rate=RATE)
START, TARGET = 0.25, 0.6


class Naive:
    """A search by its rule: `rule` gives mask, values in the forward pass, and what gradients go through."""

    def __init__(self, network: MaskedNetwork, scores: Tensor, keep: int) -> None:
        self.network, self.keep = network, keep
        self.free = network.source.roles == FREE
        self.weights = network.source.weights[self.free].clone()
        self.scores = scores.clone().requires_grad_()
        self.open = torch.ones_like(scores, dtype=torch.bool)
        self.draws = torch.zeros_like(scores, dtype=torch.int64)
        self.steps = 0
        self.optimizer = torch.optim.SGD([self.scores], lr=RATE, momentum=0.9, weight_decay=1e-4, foreach=False)

    def largest(self, values: Tensor, count: int | None = None) -> Tensor:
        order = torch.sort(values.detach(), descending=True, stable=True).indices
        mask = torch.zeros_like(values, dtype=torch.bool)
        mask[order[: self.keep if count is None else count]] = True
        return mask

    def logits(self, values: Tensor, through: Tensor, images: Tensor) -> Tensor:
        """The network under `values`, whose gradients go to `through`."""
        free = values.detach() + through - through.detach()
        source = self.network.source
        everything = source.weights * (source.roles == LOCKED)
        everything = everything.masked_scatter(self.free, free)
        parts = {layer.name: layer.view(everything) for layer in source.layers}
        result: Tensor = functional_call(self.network.module, parts, (images,))
        return result

    def layers(self) -> list[Tensor]:
        """Which free edges are those of each layer."""
        roles = self.network.source.roles
        number = torch.cat([torch.full((layer.size,), i) for i, layer in enumerate(self.network.source.layers)])
        return [number[roles == FREE] == i for i in range(len(self.network.source.layers))]


Rule = Callable[[Naive], tuple[Tensor, Tensor, Tensor]]  # mask, values, what gradients go through


def edge_popup(it: Naive) -> tuple[Tensor, Tensor, Tensor]:
    mask = it.largest(it.scores.abs())
    return mask, it.weights * mask, it.weights * it.scores.abs()


def signed(it: Naive) -> tuple[Tensor, Tensor, Tensor]:
    mask = it.largest(it.scores)
    return mask, it.weights * mask, it.weights * it.scores


def threshold_zero(it: Naive) -> tuple[Tensor, Tensor, Tensor]:
    mask = it.scores.detach() >= 0
    return mask, it.weights * mask, it.weights * it.scores


def signed_supermask(it: Naive) -> tuple[Tensor, Tensor, Tensor]:
    mask = it.largest(it.scores.abs())
    return mask, it.weights * torch.sign(it.scores) * mask, it.weights * it.scores


def thresholded_supermask(it: Naive) -> tuple[Tensor, Tensor, Tensor]:
    mask = it.scores.detach().abs() > 0.05
    return mask, it.weights * torch.sign(it.scores) * mask, it.weights * it.scores


def biprop(it: Naive) -> tuple[Tensor, Tensor, Tensor]:
    mask, values = it.largest(it.scores.abs()), torch.zeros_like(it.weights)
    for layer in it.layers():
        kept = layer & mask
        if kept.any():
            values[kept] = torch.sign(it.weights[kept]) * it.weights[kept].abs().double().mean().float()
    return mask, values, it.weights * it.scores.abs()


def gem_miner(it: Naive) -> tuple[Tensor, Tensor, Tensor]:
    mask = (it.scores.detach() > 0.5) & it.open
    return mask, it.weights * mask, it.weights * it.scores


def multicoated(it: Naive) -> tuple[Tensor, Tensor, Tensor]:
    coats = [it.largest(it.scores.abs(), it.keep * i // 3) for i in (1, 2, 3)]
    surrogate = sum((it.weights * it.scores.abs() for _ in coats), torch.zeros(()))
    return coats[2], it.weights * torch.stack(coats).sum(0), surrogate


def bernoulli(it: Naive) -> tuple[Tensor, Tensor, Tensor]:
    noise = torch.from_numpy(random.uniform(SEED, "gates", it.steps, len(it.scores)).astype(np.float32))
    probability = torch.sigmoid(it.scores)
    mask = noise < probability.detach()
    return mask, it.weights * mask, it.weights * probability


def close_the_least(it: Naive, phase: int) -> None:
    """At the k-th closing of n the open share becomes that of the target to the power k / n (here p = 1/4 of all edges)."""
    total = it.network.source.size
    locked = int((it.network.source.roles == LOCKED).sum())
    sparsity = [START, 1 - 0.75 * ((1 - TARGET) / 0.75) ** 0.5, TARGET][phase]
    left = torch.where(it.open, it.scores.detach(), -1.0)
    it.open = it.largest(left, total - round(sparsity * total) - locked)


def redraw(it: Naive, mask: Tensor) -> None:
    """Every third step, three in ten of the dropped weights become the next draw of their own streams."""
    if it.steps % 3:
        return
    noise = torch.from_numpy(random.uniform(SEED, "redraw", it.steps // 3, len(it.scores)))
    chosen = (noise < 0.3) & ~mask
    it.draws[chosen] += 1
    layers = it.network.source.layers
    for draw in range(1, int(it.draws.max()) + 1):
        uniform = [
            random.uniform(SEED, "redrawn-weights", i + draw * len(layers), layer.size) for i, layer in enumerate(layers)
        ]
        drawn = [np.sqrt(6.0 / x.fan_in) * (2 * u - 1) for x, u in zip(layers, uniform, strict=True)]
        values = torch.from_numpy(np.concatenate(drawn).astype(np.float32))[it.free]
        it.weights = torch.where(chosen & (it.draws == draw), values, it.weights)


RULES: dict[str, tuple[str, dict[str, Any], Rule]] = {
    "edge-popup": ("edge-popup", {}, edge_popup),
    "signed": ("signed-edge-popup", {}, signed),
    "threshold 0": ("signed-edge-popup", {"threshold": "zero"}, threshold_zero),
    "signed supermask": ("signed-supermask", {}, signed_supermask),
    "signed supermask, threshold": ("signed-supermask", {"threshold": 0.05}, thresholded_supermask),
    "biprop": ("biprop", {}, biprop),
    "gem-miner": ("gem-miner", {"period": 2, "penalty": 0.01}, gem_miner),
    "iterand": ("iterand", {"every": 3, "probability": 0.3}, signed),
    "multicoated": ("multicoated", {"coats": 3}, multicoated),
    "bernoulli": ("bernoulli", {}, bernoulli),
}


@pytest.mark.parametrize("name", RULES)
def test_masks_and_weights_are_those_of_the_rule(name: str) -> None:
    kind, parameters, rule = RULES[name]
    search = search_class(kind)(kind=kind, **parameters)
    fast, plain = make_network(), make_network()
    schedule = Schedule(search.phases(RECIPE, START, TARGET))
    method: Method[Any] = search.algorithm(search, fast, schedule.phases, RECIPE, SEED)
    optimizer = Sgd(method.learned, 0.9, 1e-4)
    naive = Naive(plain, first_scores(name, plain, keep := method.keep[-1][0]), keep)  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(1)
    prototypes = torch.randn(10, 3, 8, 8, generator=generator)
    per_epoch, first = STEPS // EPOCHS, method.compose(0).clone()
    for step in range(STEPS):
        labels = torch.randint(0, 10, (8,), generator=generator)
        images = prototypes[labels] + torch.randn(8, 3, 8, 8, generator=generator)
        position = schedule.at(step // per_epoch)
        if step % per_epoch == 0 and not position.phase_epoch:
            method.begin_phase(position.phase, position.phase_number, optimizer)
            method.compose(position.phase_number)
            if name == "gem-miner" and position.phase_number:
                close_the_least(naive, position.phase_number)
        compare(naive, rule, fast)
        cross_entropy(fast(images), labels).backward()
        optimizer.step(method.gradient(fast.collect_gradient()), RATE)
        method.after_step(step + 1)
        method.compose(position.phase_number)
        one_step(name, naive, rule, images, labels)
    differ = ~torch.isclose(method.learned, naive.scores.detach(), rtol=1e-4, atol=1e-5)
    assert int(differ.sum()) <= 2
    if name == "gem-miner":
        assert int((method.learned == 0).sum()) > 10, "the clamp has had nothing to do"
    assert int((first ^ fast.mask).sum()) > 0.01 * fast.mask.numel(), "the search has hardly moved"


def first_scores(name: str, network: MaskedNetwork, keep: int) -> Tensor:
    """What the rule begins with."""
    if name == "gem-miner":
        return uniform_scores(network.source, SEED)
    scores = initial_scores(network.source, SEED, RECIPE.score_init)
    share = keep / len(scores)
    return scores + log(share / (1 - share)) if name == "bernoulli" else scores


def one_step(name: str, naive: Naive, rule: Rule, images: Tensor, labels: Tensor) -> None:
    mask, values, through = rule(naive)
    naive.optimizer.zero_grad()
    loss = cross_entropy(naive.logits(values, through, images), labels)
    if name == "gem-miner":
        loss = loss + 0.01 * naive.scores.square().sum()
    loss.backward()
    naive.optimizer.step()
    naive.steps += 1
    with torch.no_grad():
        if name == "gem-miner":
            naive.scores.clamp_(0, 1)
        if name == "iterand":
            redraw(naive, mask)


def compare(naive: Naive, rule: Rule, fast: MaskedNetwork) -> None:
    """Equal but for ties in floating point."""
    mask, values, _ = rule(naive)
    same = mask == fast.mask
    assert int((~same).sum()) <= 2
    torch.testing.assert_close(fast.effective[naive.free][same], values.detach()[same], rtol=1e-6, atol=1e-7)


def test_biprop_on_a_source_of_signed_constants_is_edge_popup() -> None:
    """So a published value of biprop on such a source is one of edge-popup."""
    networks = [constant_network(), constant_network()]
    methods: list[Method[Any]] = []
    for kind, network in zip(("biprop", "edge-popup"), networks, strict=True):
        search = search_class(kind).model_validate({"kind": kind, "selection": "local"})
        methods.append(search.algorithm(search, network, search.phases(RECIPE, START, TARGET), RECIPE, SEED))
    optimizers = [Sgd(method.learned, 0.9, 1e-4) for method in methods]
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        images, labels = torch.randn(8, 3, 8, 8, generator=generator), torch.randint(0, 10, (8,), generator=generator)
        for method, optimizer, network in zip(methods, optimizers, networks, strict=True):
            method.compose(0)
            cross_entropy(network(images), labels).backward()
            optimizer.step(method.gradient(network.collect_gradient()), RATE)
        assert torch.equal(networks[0].effective, networks[1].effective)
    assert torch.equal(methods[0].learned, methods[1].learned)


def constant_network() -> MaskedNetwork:
    from slt_bench.networks.source import make_source

    toy = make_network()
    source = make_source(toy.source.layers, SEED, "signed_kaiming_constant", toy.source.roles)
    return MaskedNetwork(toy.module, source, "none", with_gradient=True)
