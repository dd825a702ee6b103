"""Networks: the architectures of source networks, ours by a name, anybody's by the import path of a factory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from slt_bench.common.plugins import is_plugin
from slt_bench.common.text import did_you_mean
from slt_bench.params.base import Model, Options
from slt_bench.params.factories import check_options, factory_of

Stem = Literal["cifar", "imagenet"]
Kind = Literal["conv2", "conv4", "conv6", "conv8", "resnet18", "resnet34", "resnet50", "resnet101", "wide_resnet50_2"]
FoldedKind = Literal["folded_resnet18", "folded_resnet34", "folded_resnet50", "folded_resnet101"]
KINDS: tuple[str, ...] = get_args(Kind) + get_args(FoldedKind)


class Network(Model):
    """The architecture of a source network."""

    kind: Kind
    stem: Stem = Field("cifar", description="ResNets: 3x3 with stride 1, or 7x7 with stride 4 in all")
    width: float = Field(1.0, gt=0, le=16, description="factor on channels and hidden units")
    batch_norm: bool = Field(True, description="Conv networks: non-affine batch norm after each convolution")

    def __str__(self) -> str:
        """Describe the architecture for a reader."""
        return f"{self.kind}, width {self.width:g}"

    @field_validator("kind", mode="before")
    @classmethod
    def _is_known(cls, kind: Any) -> Any:
        if isinstance(kind, str) and kind not in KINDS:
            raise ValueError(f"must be {', '.join(KINDS)}, or module:name of your own{did_you_mean(kind, KINDS)}")
        return kind

    @property
    def smallest_image(self) -> int:
        """The side in pixels of the smallest image that is taken: what all max-pooling and strides divide a side by."""
        if self.kind.startswith("conv"):
            return 1 << (int(self.kind[4:]) // 2)
        return _smallest_image_of_a_resnet(self.stem)

    @model_validator(mode="after")
    def _options_belong_to_the_kind(self) -> Network:
        if self.kind.startswith("conv"):
            if self.stem != "cifar":
                raise ValueError("a Conv network has no stem; leave stem out")
        elif not self.batch_norm:
            raise ValueError("a ResNet has batch norm; leave batch_norm out")
        return self


class FoldedNetwork(Model):
    """A ResNet in whose folded stages all blocks but the first share their weights (hidden-fold networks)."""

    kind: FoldedKind
    stem: Stem = Field("cifar", description="3x3 with stride 1, or 7x7 with stride 4 in all")
    width: float = Field(1.0, gt=0, le=16, description="factor on channels")
    folded_stages: list[Annotated[int, Field(ge=1, le=4)]] = Field(
        [1, 2, 3, 4], min_length=1, description="rising; the networks that are released fold [3, 4] or [2, 3, 4]"
    )

    def __str__(self) -> str:
        """Describe the architecture for a reader."""
        return f"{self.kind}, width {self.width:g}, folded stages {', '.join(map(str, self.folded_stages))}"

    @property
    def smallest_image(self) -> int:
        """The side in pixels of the smallest image that is taken: what all strides divide a side by."""
        return _smallest_image_of_a_resnet(self.stem)

    @field_validator("folded_stages")
    @classmethod
    def _rise(cls, stages: list[int]) -> list[int]:
        if stages != sorted(set(stages)):
            raise ValueError(f"must rise, got {stages}")
        return stages


class FactoryNetwork(Model):
    """A network of anybody's: `kind` is the import path of its factory, a function or a class.

    It is called as factory(image_size=..., classes=..., **options) and returns a torch module that maps images,
    [batch, 3, size, size], to logits, [batch, classes]. What such a module may hold is said in networks/factory.py.
    """

    kind: str = Field(pattern=":")
    options: Options = Field(default_factory=dict, description="given to the factory, beside image_size and classes")

    def __str__(self) -> str:
        """Describe the architecture for a reader."""
        return ", ".join([self.kind, *(f"{name} {value}" for name, value in self.options.items())])

    @property
    def smallest_image(self) -> int:
        """The side in pixels of the smallest image that is worth a trial: whether one fits is seen as a search begins."""
        return 1

    @property
    def factory(self) -> Callable[..., Any]:
        """The function or class that makes the module."""
        return factory_of(self.kind)

    @field_validator("kind")
    @classmethod
    def _can_be_imported(cls, kind: str) -> str:
        factory_of(kind)
        return kind

    @field_validator("options")
    @classmethod
    def _fit_the_factory(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "kind" in info.data:
            check_options(info.data["kind"], options)
        return options

    @model_validator(mode="after")
    def _nothing_is_missing(self) -> FactoryNetwork:
        if "options" not in self.model_fields_set:
            check_options(self.kind, {})
        return self


AnyNetworkClass = type[Network] | type[FoldedNetwork] | type[FactoryNetwork]


def network_class(kind: Any) -> AnyNetworkClass:
    """Choose the class that declares the parameters of a kind of network; unknown names of ours are refused by `Network`."""
    if is_plugin(str(kind)):
        return FactoryNetwork
    return FoldedNetwork if kind in get_args(FoldedKind) else Network


def _declared(value: Any) -> Network | FoldedNetwork | FactoryNetwork:
    """Make the declaration that a mapping in params.yaml, or in the header of a ticket, stands for."""
    if isinstance(value, Network | FoldedNetwork | FactoryNetwork):
        return value
    if not isinstance(value, dict):
        raise PydanticCustomError("dict_type", "Input should be a mapping of keys to values")
    return network_class(value.get("kind")).model_validate(value)


def _smallest_image_of_a_resnet(stem: Stem) -> int:
    return 8 if stem == "cifar" else 32


class _Schema:
    """The annotation that writes the JSON schema of a network: one of ours, or a factory with options of its own."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [kind.model_json_schema() for kind in (Network, FoldedNetwork, FactoryNetwork)]}


AnyNetwork = Annotated[
    SerializeAsAny[Network] | SerializeAsAny[FoldedNetwork] | SerializeAsAny[FactoryNetwork],
    PlainValidator(_declared),
    _Schema(),
]
