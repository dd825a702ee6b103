"""Datasets: which images, and how they are shown to a network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from slt_bench.params.base import Model, PositiveRgb, Rgb, Seed


class Images(Model):
    """Which images a dataset holds: everything that decides what its .beton files contain."""

    source: Literal["digits", "cifar10", "cifar100", "image_folder"]
    path: str | None = Field(None, description="image_folder: a directory or tar of split/class/image")
    size: int | None = Field(None, ge=4, le=1024, description="image_folder: side in pixels of the stored square images")
    validation: float = Field(0.2, gt=0, lt=1, description="share of the training images held out, class by class")
    train_images: int | None = Field(None, ge=2, description="class-balanced subset of train, before the split; all if absent")
    test_images: int | None = Field(None, ge=1, description="class-balanced subset of test; all if absent")
    seed: Seed = Field(0, description="of the subset and the split")

    @model_validator(mode="after")
    def _folder_has_path_and_size(self) -> Images:
        is_folder = self.source == "image_folder"
        if is_folder != (self.path is not None) or is_folder != (self.size is not None):
            raise ValueError("path and size are given for source image_folder, and for no other source")
        return self


class View(Model):
    """How images are shown to a network."""

    mean: Rgb = Field(description="subtracted from pixels in [0, 1], per channel")
    std: PositiveRgb = Field(description="divides what is left, per channel")
    crop_padding: int = Field(0, ge=0, le=32, description="random crop after zero-padding by so many pixels")
    flip: bool = Field(False, description="random horizontal flip")


class Dataset(View):
    """Images and how they are shown to the network."""

    images: Images
