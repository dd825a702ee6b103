"""Datasets: which images, and the transform that they go through before a network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from slt_bench.common.plugins import check_name, is_plugin
from slt_bench.params.base import Model, Options, PositiveRgb, Rgb, Seed

Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Release:
    """The facts of a published dataset, whose images are the same for everybody."""

    image_size: int  # side in pixels
    classes: int
    train_images: int


RELEASES = {
    "digits": Release(8, 10, 1438),  # of 1,797 images without a test set of their own, 359 are taken for it
    "cifar10": Release(32, 10, 50_000),
    "cifar100": Release(32, 100, 50_000),
    "fashion_mnist": Release(28, 10, 60_000),
}


SOURCES = ("digits", "cifar10", "cifar100", "fashion_mnist", "image_folder", "imagenet", "imagenet_sample", "imagenette")
_Schema = WithJsonSchema({"anyOf": [{"type": "string", "enum": list(SOURCES)}, {"type": "string", "pattern": ":"}]})
Source = Annotated[str, AfterValidator(partial(check_name, ours=SOURCES, what="source of images")), _Schema]


class Images(Model):
    """Which images a dataset holds: everything that decides what its .beton files contain."""

    source: Source
    path: str | None = Field(
        None, description="image_folder: a directory or tar of split/class/image; a source of your own may read it too"
    )
    size: int | None = Field(
        None,
        ge=4,
        le=1024,
        description="image_folder: side in pixels of the stored square images; a source of your own: theirs",
    )
    max_resolution: int | None = Field(
        None, ge=16, le=65_000, description="longer side in pixels of a stored training image; larger ones are shrunk"
    )
    write_mode: Literal["raw", "jpg", "proportion", "original"] = Field(
        "raw", description="training images: as pixels, as JPEG, a share of compress_probability as JPEG, or as they are"
    )
    jpeg_quality: int = Field(90, ge=1, le=100)
    compress_probability: float | None = Field(
        None, ge=0, le=1, description="write_mode proportion: share of training images stored as JPEG"
    )
    validation: float = Field(0.2, gt=0, lt=1, description="share of the training images held out, class by class")
    train_images: int | None = Field(
        None, ge=2, le=1_000_000_000, description="class-balanced subset of train, before the split; all if absent"
    )
    test_images: int | None = Field(None, ge=1, le=1_000_000_000, description="class-balanced subset of test; all if absent")
    seed: Seed = Field(0, description="seed of the subset and the split")
    options: Options = Field(default_factory=dict, description="of a source of your own, which reads them as images.options")

    @model_serializer(mode="wrap")
    def _without_options_that_are_not_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        return content if self.options else {key: value for key, value in content.items() if key != "options"}

    @property
    def has_files(self) -> bool:
        """Whether each image of the source is a file, of any size."""
        return self.source in ("image_folder", "imagenet", "imagenet_sample", "imagenette")

    @property
    def keeps_sizes(self) -> bool:
        """Whether images are stored in their original sizes; test images are then copied from their files unchanged."""
        return self.has_files and self.size is None

    @property
    def stored_how(self) -> str:
        """A description of how training and test images are stored, for the note under a table."""
        jpeg = f"JPEG of quality {self.jpeg_quality}"
        mixed = f"{100 * (self.compress_probability or 0):g} % as {jpeg}, the others as pixels"
        train = {"raw": "as pixels", "jpg": f"as {jpeg}", "proportion": mixed, "original": "as they are"}[self.write_mode]
        test = "as they are" if self.keeps_sizes else "as pixels"
        if train == test:
            return train
        shrunk = f", at most {self.max_resolution} pixels" if self.max_resolution is not None else ""
        return f"training images {train}{shrunk}; test images {test}"

    @property
    def variable(self) -> str | None:
        """The environment variable that names the directory or tar of the images, so that nothing is downloaded."""
        has_none = self.source in ("digits", "image_folder") or is_plugin(self.source)
        return None if has_none else f"SLT_BENCH_{self.source.upper()}"

    @property
    def release(self) -> Release | None:
        """The facts of the published dataset; None for a source that is known only by its images."""
        return RELEASES.get(self.source)

    def held_out(self, count: int) -> int:
        """Return how many of `count` training images are held out for validation."""
        return round(self.validation * count)

    @model_validator(mode="after")
    def _what_belongs_to_the_source(self) -> Images:
        is_ours = not is_plugin(self.source)
        if is_ours and (self.source == "image_folder") != (self.path is not None):
            wrong = "path is missing: the folder or tar archive of" if self.path is None else "path is only for"
            raise ValueError(f"{wrong} source image_folder")
        if self.options and is_ours:
            raise ValueError("options are for a source of your own, module:name")
        if is_ours and self.size is not None and self.source != "image_folder":
            raise ValueError("size is for source image_folder alone")
        if self.max_resolution is not None and not self.keeps_sizes:
            raise ValueError("max_resolution is for images that keep their own size")
        if self.write_mode == "original" and (self.max_resolution is not None or not self.keeps_sizes):
            raise ValueError("write_mode original is for images that keep their own size, without max_resolution")
        if (self.compress_probability is not None) != (self.write_mode == "proportion"):
            raise ValueError("compress_probability is given for write_mode proportion, and for no other")
        return self


class View(Model):
    """The transform of images before a network sees them: normalisation, crops, flips and resizing."""

    mean: Rgb = Field(description="subtracted from pixels in [0, 1], per channel")
    std: PositiveRgb = Field(description="standard deviation that divides the result, per channel")
    crop_padding: int = Field(0, ge=0, le=32, description="zero-padding in pixels before a random crop")
    flip: bool = Field(False, description="random horizontal flip")
    resolution: int | None = Field(
        None,
        ge=8,
        le=1024,
        description="side in pixels of the crop that a network sees: random and resized in training, else central",
    )
    resize: int | None = Field(None, ge=8, le=4096, description="evaluation: the shorter side before the centre crop")
    crop_area: list[Share] = Field(
        [0.08, 1.0], min_length=2, max_length=2, description="random resized crop: least and largest share of the area"
    )

    @model_validator(mode="after")
    def _one_way_to_crop(self) -> View:
        if (self.resolution is None) != (self.resize is None):
            raise ValueError("resolution and resize go together")
        if self.resolution is not None and self.resize is not None and self.resize < self.resolution:
            raise ValueError(f"resize ({self.resize}) must be at least resolution ({self.resolution})")
        if self.resolution is not None and self.crop_padding:
            raise ValueError("crop_padding is for images of one size, without resolution")
        if self.crop_area[0] > self.crop_area[1]:
            raise ValueError(f"crop_area must rise, got {self.crop_area}")
        return self


class Dataset(View):
    """Images and their transform."""

    images: Images

    @model_validator(mode="after")
    def _images_of_one_size(self) -> Dataset:
        if self.images.has_files and self.images.size is None and self.resolution is None:
            raise ValueError("images of many sizes need a size that they are stored in, or a resolution and a resize")
        if self.resolution is None and self.crop_area != View.model_fields["crop_area"].default:
            raise ValueError("crop_area goes together with resolution: without one no area is cropped")
        return self
