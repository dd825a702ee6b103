"""Recipes: how a search is optimised, and from which weights and scores it starts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from slt_bench.params.base import Model

WeightInit = Literal["kaiming_uniform", "kaiming_normal", "signed_kaiming_constant"]
ScoreInit = Literal["kaiming_normal", "kaiming_uniform", "constant"]
Scale = Literal["none", "static", "dynamic"]


class Recipe(Model):
    """How a search is optimised, and from which weights and scores it starts."""

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
    weight_init: WeightInit = "kaiming_uniform"
    score_init: ScoreInit = Field(
        "kaiming_normal",
        description="kaiming_uniform: a = sqrt 5, as edge-popup's own code; constant: with local selection only, "
        "which then begins with the first edges of each layer",
    )
    scale: Scale = Field("none", description="of the effective weights")
    precision: Literal["float32", "tf32", "bfloat16", "fastest"] = Field(
        "float32",
        description="of the forward and backward pass; tf32: float32 whose factors a GPU rounds to 10 bits, as torch does by "
        "default in convolutions, and a CPU does not; fastest: bfloat16 where the device computes with it",
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
