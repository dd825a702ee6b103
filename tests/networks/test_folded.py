"""Folded ResNets: their size by hand, shared weights, batch norms of their own. How many weights others count is unknown."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.func import functional_call

from slt_bench.networks import registry
from slt_bench.networks.budget import freeze
from slt_bench.networks.folded import FoldedBlocks
from slt_bench.networks.roles import random_roles
from slt_bench.networks.source import make_source
from slt_bench.params.networks import FoldedKind, FoldedNetwork, Stem
from slt_bench.ticket.masked_network import MaskedNetwork

KINDS: dict[str, FoldedKind] = {
    "18": "folded_resnet18", "34": "folded_resnet34", "50": "folded_resnet50", "101": "folded_resnet101",
}  # fmt: skip
BLOCKS = {"18": [2, 2, 2, 2], "34": [3, 4, 6, 3], "50": [3, 4, 6, 3], "101": [3, 4, 23, 3]}


def by_hand(depth: str, stem: str, classes: int, folded: tuple[int, ...]) -> int:
    """Stem, then in each stage the first block and one for all others where it is folded, then the head."""
    bottleneck = depth in ("50", "101")
    edges, inputs = (3 * 3 if stem == "cifar" else 7 * 7) * 3 * 64, 64
    for stage, (channels, blocks) in enumerate(zip((64, 128, 256, 512), BLOCKS[depth], strict=True), 1):
        outputs = 4 * channels if bottleneck else channels

        def block(entering: int, channels: int = channels, outputs: int = outputs) -> int:
            if bottleneck:
                return entering * channels + 9 * channels**2 + channels * outputs
            return 9 * entering * channels + 9 * channels**2

        projection = inputs * outputs if inputs != outputs else 0
        edges += block(inputs) + projection + block(outputs) * (1 if stage in folded else blocks - 1)
        inputs = outputs
    return edges + inputs * classes


@pytest.mark.parametrize("depth", BLOCKS)
@pytest.mark.parametrize(("stem", "size", "classes"), [("cifar", 32, 100), ("imagenet", 224, 1000)])
@pytest.mark.parametrize("folded", [(1, 2, 3, 4), (3, 4), (2,)])
def test_number_of_edges(depth: str, stem: Stem, size: int, classes: int, folded: tuple[int, ...]) -> None:
    network = FoldedNetwork(kind=KINDS[depth], stem=stem, folded_stages=list(folded))
    layers = registry.searchable_layers(registry.architecture(network, size, classes))
    assert layers[-1].stop == by_hand(depth, stem, classes, folded)


@pytest.mark.parametrize("depth", BLOCKS)
def test_the_sum_by_hand_is_that_of_a_resnet_where_nothing_is_folded(depth: str) -> None:
    layers = registry.searchable_layers(registry.build(f"resnet{depth}", 1.0, 32, 100))
    assert layers[-1].stop == by_hand(depth, "cifar", 100, ())


def small(kind: FoldedKind = "folded_resnet34") -> MaskedNetwork:
    module = registry.architecture(FoldedNetwork(kind=kind, width=0.125), 8, 10)
    layers = registry.searchable_layers(module)
    roles = random_roles(0, freeze([x.shape for x in layers], 0, 0, "epl", "joint"))
    return MaskedNetwork(module, make_source(layers, 0, "kaiming_uniform", roles), "none", with_gradient=True)


def test_with_two_blocks_a_stage_it_computes_what_the_resnet_computes() -> None:
    folded, whole = small("folded_resnet18"), registry.build("resnet18", 0.125, 8, 10)
    layers = registry.searchable_layers(whole)
    weights = {layer.name: layer.view(folded.effective) for layer in layers}
    assert [x.shape for x in layers] == [x.shape for x in folded.source.layers]
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(folded(images), functional_call(whole, weights, (images,)))


@pytest.mark.parametrize("kind", ["folded_resnet34", "folded_resnet50"])
def test_one_edge_changes_every_application(kind: FoldedKind) -> None:
    network = small(kind).eval()
    stage = network.module.get_submodule("layer3.1")
    assert isinstance(stage, FoldedBlocks) and len(stage.norms) == 5
    inner: list[tuple[torch.Tensor, torch.Tensor]] = []
    convolution = stage.convolutions[0]
    assert isinstance(convolution, nn.Conv2d)
    handle = convolution.register_forward_hook(lambda _part, inputs, output: inner.append((inputs[0], output)))
    layer = next(x for x in network.source.layers if x.name == "layer3.1.convolutions.0.weight")
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        network(images)
        network.mask[layer.start : layer.start + 40] = False  # edges from several channels, of which a relu silences some
        network.compose()
        network(images)
    handle.remove()
    assert len(inner) == 10
    shapes = {name: value.shape for name, value in network.module.named_parameters() if name.startswith("layer3.1.")}
    assert len(shapes) == len(stage.convolutions)  # in the flat vector once
    weight = layer.view(network.effective)
    for features, output in inner[5:]:  # each application has the changed weight
        again = nn.functional.conv2d(features, weight, padding=convolution.padding)
        assert torch.equal(again, output)
    for (features, before), _ in zip(inner[:5], inner[5:], strict=True):
        again = nn.functional.conv2d(features, weight, padding=convolution.padding)
        assert not torch.equal(again, before)


def test_applications_have_statistics_of_their_own() -> None:
    network = small().train()
    network(torch.randn(8, 3, 8, 8))
    stage = network.module.get_submodule("layer3.1")
    assert isinstance(stage, FoldedBlocks)
    means = [norms.get_buffer("0.running_mean") for norms in stage.norms]
    assert all(not torch.equal(one, other) for one, other in pairwise(means))
    plain = registry.channels(registry.build("resnet34", 0.125, 8, 10))
    assert registry.channels(network.module) == plain  # as many as without folding


def test_the_gradient_of_a_shared_weight_is_the_sum_over_its_applications() -> None:
    network = small()
    images = torch.randn(4, 3, 8, 8)
    network(images).square().sum().backward()
    found = network.collect_gradient().clone()
    weights = {x.name: x.view(network.effective).clone().requires_grad_() for x in network.source.layers}
    functional_call(network.module, weights, (images,)).square().sum().backward()
    for layer in network.source.layers:
        gradient = weights[layer.name].grad
        assert gradient is not None
        torch.testing.assert_close(layer.view(found), gradient)


@pytest.mark.parametrize(("stem", "side"), [("cifar", 8), ("imagenet", 32)])
def test_images_of_the_smallest_size_pass(stem: Stem, side: int) -> None:
    network = FoldedNetwork(kind="folded_resnet50", stem=stem, width=0.1)
    assert network.smallest_image == side
    module = registry.architecture(network, side, 10)
    weights = {layer.name: torch.zeros(layer.shape) for layer in registry.searchable_layers(module)}
    assert functional_call(module.eval(), weights, (torch.zeros(1, 3, side, side),)).shape == (1, 10)
