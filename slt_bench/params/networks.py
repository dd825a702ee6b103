"""Networks: the architectures of source networks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from slt_bench.params.base import Model


class Network(Model):
    """The architecture of a source network."""

    kind: Literal[
        "conv2", "conv4", "conv6", "conv8", "resnet18", "resnet34", "resnet50", "resnet101", "wide_resnet50_2"
    ]  # fmt: skip
    stem: Literal["cifar", "imagenet"] = Field("cifar", description="ResNets: 3x3 with stride 1, or 7x7 with stride 4 in all")
    width: float = Field(1.0, gt=0, le=16, description="factor on channels and hidden units")
    batch_norm: bool = Field(True, description="Conv networks: non-affine batch norm after each convolution")

    @property
    def smallest_image(self) -> int:
        """The side in pixels of the smallest image of which all max-pooling and strides leave at least one pixel."""
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
