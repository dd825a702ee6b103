"""Factories of networks as somebody would write them: two that can be searched, and others that are refused."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Attention of several heads, of linear layers alone."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, dim = tokens.shape
        query, key, value = self.qkv(tokens).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).reshape(batch, count, dim))


class VisionTransformer(nn.Module):
    """A small vision transformer: patches, sine positions in a buffer, the mean of the tokens to a linear head."""

    def __init__(self, image_size: int, classes: int, depth: int, dim: int = 32, patch: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, dim, patch, stride=patch)
        positions = torch.arange((image_size // patch) ** 2)[:, None] * torch.exp(-torch.arange(dim) * math.log(100) / dim)
        self.register_buffer("positions", torch.sin(positions))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2 * depth + 1))
        self.attention = nn.ModuleList(Attention(dim, 4) for _ in range(depth))
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)) for _ in range(depth)
        )
        self.head = nn.Linear(dim, classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        for index, (attention, mlp) in enumerate(zip(self.attention, self.mlps, strict=True)):
            tokens = tokens + attention(self.norms[2 * index](tokens))
            tokens = tokens + mlp(self.norms[2 * index + 1](tokens))
        return self.head(self.norms[-1](tokens).mean(1))


def vit(image_size: int, classes: int, depth: int, dim: int = 32) -> nn.Module:
    return VisionTransformer(image_size, classes, depth, dim)


class Remembers(nn.Module):
    """It counts the batches that it has trained on, where nobody sees it."""

    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__()
        self.head, self.batches = nn.Linear(3 * image_size**2, classes), 0

    def forward(self, images: Tensor) -> Tensor:
        self.batches += self.training
        return self.head(images.flatten(1)) * self.batches


class OwnNoise(nn.Module):
    """It draws random numbers by a generator of its own."""

    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__()
        self.head, self.generator = nn.Linear(3 * image_size**2, classes), torch.Generator()

    def forward(self, images: Tensor) -> Tensor:
        logits = self.head(images.flatten(1))
        return logits + torch.randn(logits.shape, generator=self.generator) if self.training else logits


class Flat(nn.Module):
    """Norms of every kind, one after another, on a row of pixels."""

    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__()
        self.rows = nn.Conv1d(3 * image_size, 8, 3, padding=1)
        self.norm = nn.BatchNorm1d(8)
        self.cube = nn.Conv3d(1, 2, 3, padding=1)
        self.cubes = nn.BatchNorm3d(2)
        self.groups, self.instances = nn.GroupNorm(2, 8), nn.InstanceNorm1d(8, affine=True)
        self.head = nn.Linear(2 * 8 * image_size, classes)

    def forward(self, images: Tensor) -> Tensor:
        rows = functional.relu(self.norm(self.rows(images.flatten(1, 2))))
        rows = self.instances(self.groups(rows))
        return self.head(self.cubes(self.cube(rows[:, None, None])).flatten(1))


class _Head(nn.Module):
    """A linear head behind something else."""

    def __init__(self, image_size: int, classes: int, before: nn.Module | None = None) -> None:
        super().__init__()
        self.before = before or nn.Identity()
        self.head = nn.Linear(3 * image_size**2, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.before(images).flatten(1))


class Perceptron(nn.Linear):
    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__(3 * image_size**2, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.flatten(1))


class ClassToken(_Head):
    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__(image_size, classes)
        self.token = nn.Parameter(torch.zeros(1))


class SelfAttention(_Head):
    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__(image_size, classes)
        self.attention = nn.MultiheadAttention(8, 2)


class RandomTable(_Head):
    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__(image_size, classes)
        self.register_buffer("table", torch.randn(4))


class Counts(_Head):
    seen: Tensor

    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__(image_size, classes)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return super().forward(images)


class SometimesNoise(_Head):
    """Draws with Python's own random numbers, which torch does not know of."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (random.random() < 2)


class Tied(_Head):
    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__(image_size, classes)
        self.again = self.head


class Twice(_Head):
    """One weight in two layers."""

    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__(image_size, classes)
        self.other = nn.Linear(3 * image_size**2, classes)
        self.other.weight = self.head.weight


def parametrized(image_size: int, classes: int) -> nn.Module:
    module = _Head(image_size, classes)
    nn.utils.parametrizations.weight_norm(module.head)
    return module


def behind(part: Callable[[], nn.Module]) -> Callable[..., nn.Module]:
    def build(image_size: int, classes: int) -> nn.Module:
        return _Head(image_size, classes, part())

    return build


dropout = behind(lambda: nn.Dropout(0.1))
no_dropout = behind(lambda: nn.Dropout(0.0))
leaky = behind(lambda: nn.Sequential(nn.Identity(), nn.RReLU()))
batch_alone = behind(lambda: nn.BatchNorm2d(3, track_running_stats=False))
cumulative = behind(lambda: nn.BatchNorm2d(3, momentum=None))
instances = behind(lambda: nn.InstanceNorm2d(3, track_running_stats=True))
lazy = behind(lambda: nn.LazyConv2d(3, 1))
embedding = behind(lambda: nn.Sequential(nn.Identity(), nn.Embedding(3, 3)))
transposed = behind(lambda: nn.ConvTranspose2d(3, 3, 1))


def of_one_class_too_few(image_size: int, classes: int) -> nn.Module:
    return _Head(image_size, classes - 1)


def of_images_of_32_pixels(image_size: int, classes: int) -> nn.Module:
    return _Head(32, classes)


def no_edges(image_size: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.ReLU())


def no_module(image_size: int, classes: int) -> Any:
    return "vit"


def failing(image_size: int, classes: int) -> nn.Module:
    raise RuntimeError("no weights here")


def of_classes_alone(classes: int) -> nn.Module:
    return _Head(8, classes)
