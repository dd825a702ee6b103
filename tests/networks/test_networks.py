"""Architectures: sizes as published, no biases, no affine batch norm."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from slt_bench.networks import registry
from slt_bench.params.networks import Kind, Network


@pytest.mark.parametrize(
    ("kind", "edges"),
    # conv6 and resnet18: Otsuka et al. 2025; the others by hand from the layer list.
    [("conv2", 4_300_992), ("conv4", 2_425_024), ("conv6", 2_261_184), ("conv8", 5_275_840),
     ("resnet18", 11_164_352), ("resnet34", 21_265_088)],
)  # fmt: skip
def test_number_of_edges(kind: str, edges: int) -> None:
    layers = registry.searchable_layers(registry.build(kind, 1.0, 32, 10))
    assert layers[-1].stop == edges
    assert [layer.start for layer in layers[1:]] == [layer.stop for layer in layers[:-1]]


@pytest.mark.parametrize(
    ("kind", "edges"),
    [("resnet18", 11_678_912), ("resnet34", 21_779_648), ("resnet50", 25_502_912), ("resnet101", 44_442_816),
     ("wide_resnet50_2", 68_814_016)],
)  # fmt: skip
def test_number_of_edges_on_imagenet(kind: str, edges: int) -> None:
    """Otsuka et al. 2025."""
    module = registry.build(kind, 1.0, 224, 1000, stem="imagenet")
    assert registry.searchable_layers(module)[-1].stop == edges


@pytest.mark.parametrize("kind", ["conv2", "resnet18", "resnet50"])
def test_networks_hold_no_layer_of_ours(kind: str) -> None:
    for part in registry.build(kind, 0.25, 32, 10).modules():
        assert type(part).__module__.startswith(("torch.nn.", "torchvision.models."))


@pytest.mark.parametrize("kind", ["resnet18", "resnet50"])
def test_images_of_the_smallest_size_pass_through_an_imagenet_stem(kind: Kind) -> None:
    side = Network(kind=kind, stem="imagenet").smallest_image
    module = registry.build(kind, 0.1, side, 10, stem="imagenet")
    weights = {layer.name: torch.zeros(layer.shape) for layer in registry.searchable_layers(module)}
    assert functional_call(module.eval(), weights, (torch.zeros(1, 3, side, side),)).shape == (1, 10)


@pytest.mark.parametrize("kind", ["conv4", "resnet18"])
@pytest.mark.parametrize("classes", [10, 100])
def test_only_searchable_parameters_and_a_head_of_the_right_size(kind: str, classes: int) -> None:
    module = registry.build(kind, 0.25, 32, classes)
    layers = registry.searchable_layers(module)
    assert {layer.name for layer in layers} == {name for name, _ in module.named_parameters()}
    weights = {layer.name: torch.zeros(layer.shape) for layer in layers}
    assert functional_call(module, weights, (torch.zeros(2, 3, 32, 32),)).shape == (2, classes)
    assert all(not part.affine for part in module.modules() if isinstance(part, nn.BatchNorm2d))


@pytest.mark.parametrize("kind", ["conv2", "conv4", "conv6", "conv8"])
def test_the_smallest_image_is_just_enough(kind: Kind) -> None:
    side = Network(kind=kind).smallest_image
    module = registry.build(kind, 0.1, side, 10)
    weights = {layer.name: torch.zeros(layer.shape) for layer in registry.searchable_layers(module)}
    assert functional_call(module.eval(), weights, (torch.zeros(1, 3, side, side),)).shape == (1, 10)


def test_width_scales_channels() -> None:
    assert registry.searchable_layers(registry.build("resnet18", 0.5, 32, 10))[1].shape == (32, 32, 3, 3)


def test_batch_norm_can_be_left_out_of_conv_networks() -> None:
    assert not any(isinstance(part, nn.BatchNorm2d) for part in registry.build("conv6", 1.0, 32, 10, False).modules())


def test_memory_format_does_not_change_what_a_conv_network_computes() -> None:
    module = registry.build("conv2", 0.25, 8, 10).eval()
    weights = {layer.name: torch.randn(layer.shape) * 0.1 for layer in registry.searchable_layers(module)}
    images = torch.randn(4, 3, 8, 8)
    flat = functional_call(module, weights, (images,))
    last = functional_call(module, weights, (images.contiguous(memory_format=torch.channels_last),))
    torch.testing.assert_close(flat, last)
