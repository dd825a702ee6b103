"""Networks and recipes: what is optimised, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from slt_bench.params.base import Model


class Network(Model):
    """A source architecture."""

    kind: Literal[
        "conv2", "conv4", "conv6", "conv8", "resnet18", "resnet34", "resnet50", "resnet101", "wide_resnet50_2"
    ]  # fmt: skip
    stem: Literal["cifar", "imagenet"] = Field("cifar", description="ResNets: 3x3 with stride 1, or 7x7 with stride 4 in all")
    width: float = Field(1.0, gt=0, le=16, description="factor on channels and hidden units")
    batch_norm: bool = Field(True, description="Conv networks: non-affine batch norm after each convolution")

    @property
    def smallest_image(self) -> int:
        """The smallest image side in pixels that is left with a pixel after all max-pooling and strides."""
        if self.kind.startswith("conv"):
            return 1 << (int(self.kind[4:]) // 2)
        return 8 if self.stem == "cifar" else 32

    @model_validator(mode="after")
    def _options_belong_to_the_kind(self) -> Network:
        if self.kind.startswith("conv"):
            if self.stem != "cifar":
                raise ValueError("a Conv network has no stem; leave stem out")
        elif not self.batch_norm:
            raise ValueError("a ResNet has batch norm; leave batch_norm out")
        return self


class Recipe(Model):
    """How something is optimised, and from where it starts."""

    epochs: int = Field(ge=1, le=10_000, description="in all; iterative edge-popup shares them out or repeats them")
    batch_size: int = Field(ge=2, le=1_000_000, description="images in one optimizer step, over all processes")
    learning_rate: float = Field(gt=0, description="at the start of each phase; cosine to zero within it")
    learning_rate_changes: Literal["every_step", "every_epoch"] = Field(
        "every_step", description="every_epoch: one rate for all steps of an epoch, as in edge-popup's own code"
    )
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    shards: int = Field(
        1, ge=1, le=1024, description="equal parts of a batch, each with batch-norm statistics of its own; a power of two"
    )
    train_on: Literal["train", "all"] = Field(
        "train", description="all: the held-out images too; then no epoch is selected, the last one is reported"
    )
    warmup_epochs: int = Field(0, ge=0, description="linear rise at the start of each phase")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    weight_init: Literal["kaiming_uniform", "kaiming_normal", "signed_kaiming_constant"] = "kaiming_uniform"
    score_init: Literal["kaiming_normal", "kaiming_uniform", "constant"] = Field(
        "kaiming_normal",
        description="kaiming_uniform: a = sqrt 5, as edge-popup's own code; constant: with local selection only, "
        "which then begins with the first edges of each layer",
    )
    scale: Literal["none", "static", "dynamic"] = Field("none", description="of the effective weights")
    precision: Literal["float32", "bfloat16", "fastest"] = Field(
        "float32", description="of the forward and backward pass; fastest: bfloat16 where the device computes with it"
    )
    compile: Literal["never", "gpu", "always"] = Field("never", description="torch.compile; gpu: where there is one")

    @model_validator(mode="after")
    def _shards_divide_the_batch(self) -> Recipe:
        if self.shards & (self.shards - 1) or self.batch_size % self.shards or self.batch_size // self.shards < 2:
            raise ValueError(
                f"shards ({self.shards}) must be a power of two with 2 or more of the {self.batch_size} images each"
            )
        return self

    @model_validator(mode="after")
    def _warmup_leaves_epochs(self) -> Recipe:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs})")
        return self
