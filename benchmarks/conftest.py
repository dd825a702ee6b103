"""Networks, batches and .beton files that the benchmarks share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy

from slt_bench import networks
from slt_bench.data.beton import prepare
from slt_bench.layouts import freeze
from slt_bench.optimizer import Sgd
from slt_bench.params import Images, View
from slt_bench.source import initial_scores, make_source, random_roles
from slt_bench.ticket_network import TicketNetwork

VIEW = View(mean=[0.5] * 3, std=[0.25] * 3, crop_padding=4, flip=True)


def weight_training_step(kind: str, width: float, batch: int) -> Callable[[], None]:
    """A step of training the plain module's weights with torch's own SGD: what the search step is compared with."""
    module = networks.build(kind, width, 32, 10)
    layers = networks.searchable_layers(module)
    shapes = [layer.shape for layer in layers]
    source = make_source(layers, 0, "kaiming_uniform", random_roles(0, freeze(shapes, 0, 0, "uniform", "joint")))
    for layer in layers:
        owner = module.get_submodule(layer.name.removesuffix(".weight"))
        owner.weight = nn.Parameter(layer.view(source.weights).clone())
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images, labels = batch_of(batch)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(module(images), labels).backward()
        optimizer.step()

    return step


def search_step(kind: str, width: float, batch: int, prune: float = 0.0, lock: float = 0.0) -> Callable[[], None]:
    """A step of edge-popup at sparsity 0.5 with global selection."""
    module = networks.build(kind, width, 32, 10)
    layers = networks.searchable_layers(module)
    budget = freeze([layer.shape for layer in layers], prune, lock, "epl", "joint")
    source = make_source(layers, 0, "kaiming_uniform", random_roles(0, budget))
    network = TicketNetwork(module, source, initial_scores(source, 0), "scores", "none")
    optimizer, keep = Sgd(network.learned, 0.9, 1e-4), network.keep_for(0.5)
    images, labels = batch_of(batch)
    network.select(keep)

    def step() -> None:
        cross_entropy(network(images), labels).backward()
        optimizer.step(0.01)
        network.select(keep)

    return step


def batch_of(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images (channels last, as the loader gives them) and labels."""
    images = torch.randn(size, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    return images, torch.randint(0, 10, (size,))


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 random 32-pixel pictures as split/class/image."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for split, count in (("train", 1900), ("test", 100)):
        for number in range(count):
            path = root / split / str(number % 10) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return root


@pytest.fixture(scope="session")
def beton_directory(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures as .beton files."""
    directory = tmp_path_factory.mktemp("beton") / "pictures"
    prepare(Images(source="image_folder", path=str(picture_folder), size=32, validation=0.05), directory)
    return directory
