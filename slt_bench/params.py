"""The parameters of the benchmark: the only description of experiments, as types that refuse to be wrong.

`params_file.py` reads params.yaml into `Params`; `cells.py` expands its tables into cells.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from slt_bench.layouts import LayoutName, LockRule

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", description="lower case, digits and hyphens")]
Ratio = Annotated[float, Field(ge=0, le=1)]
Rgb = Annotated[list[Ratio], Field(min_length=3, max_length=3)]
PositiveRgb = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=3, max_length=3)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class _OneOrMany:
    """Lets a list be written as its only item, in params.yaml and in the JSON schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def as_list(value: Any) -> Any:
            return value if isinstance(value, list) else [value]

        return core_schema.no_info_before_validator_function(as_list, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


T = TypeVar("T")
Axis = Annotated[list[T], Field(min_length=1), _OneOrMany()]  # a list spans the grid of a row


class Model(BaseModel):
    """A group of parameters: unknown keys are refused, values are taken as they are written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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


class Network(Model):
    """A source architecture."""

    kind: Literal["conv2", "conv4", "conv6", "conv8", "resnet18", "resnet34"]
    width: float = Field(1.0, gt=0, le=16, description="factor on channels and hidden units")
    batch_norm: bool = Field(True, description="Conv networks: non-affine batch norm after each convolution")

    @property
    def smallest_image(self) -> int:
        """The smallest image side in pixels that is left with a pixel after all max-pooling."""
        return 1 << (int(self.kind[4:]) // 2) if self.kind.startswith("conv") else 8

    @model_validator(mode="after")
    def _resnet_has_batch_norm(self) -> Network:
        if self.kind.startswith("resnet") and not self.batch_norm:
            raise ValueError("a ResNet has batch norm; leave batch_norm out")
        return self


class Recipe(Model):
    """How something is optimised, and from where it starts."""

    epochs: int = Field(ge=1, le=10_000, description="in all; iterative edge-popup shares them out or repeats them")
    batch_size: int = Field(ge=2, description="images in one optimizer step, over all processes")
    learning_rate: float = Field(gt=0, description="at the start of each phase; cosine to zero within it")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    warmup_epochs: int = Field(0, ge=0, description="linear rise at the start of each phase")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    weight_init: Literal["kaiming_uniform", "kaiming_normal", "signed_kaiming_constant"] = "kaiming_uniform"
    scale: Literal["none", "static", "dynamic"] = Field("none", description="of the effective weights")

    @model_validator(mode="after")
    def _warmup_leaves_epochs(self) -> Recipe:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs}) must be less than epochs ({self.epochs})")
        return self


class EdgePopup(Model):
    """Edge-popup: one phase at the final sparsity (Ramanujan et al. 2020)."""

    kind: Literal["edge-popup"]


class IterativeEdgePopup(Model):
    """Soft iterative edge-popup: sparsity rises, the learning rate is rewound, scores carry over (Iwasawa et al. 2023)."""

    kind: Literal["iterative-edge-popup"]
    iterations: int = Field(ge=2, le=100)
    rule: Literal["geometric", "linear"] = Field("geometric", description="geometric: density falls by an equal factor")
    epochs: Literal["total", "per_iteration"] = Field("total", description="total: as many epochs as edge-popup gets in all")


class WeightTraining(Model):
    """The baseline: the weights are trained, all free ones are kept."""

    kind: Literal["weight-training"]


class RandomMask(Model):
    """The control: a uniformly random mask; only batch-norm statistics are gathered."""

    kind: Literal["random-mask"]


Search = Annotated[EdgePopup | IterativeEdgePopup | WeightTraining | RandomMask, Field(discriminator="kind")]


class SourceGrid(Model):
    """Where the ticket is searched: the frozen shares of the source network; lists span a grid."""

    prune_ratio: Axis[Ratio] = Field(default_factory=lambda: [0.0], validate_default=True)
    lock_ratio: Axis[Ratio] = Field(default_factory=lambda: [0.0], validate_default=True)
    layout: Axis[LayoutName] | None = Field(None, description="needed once anything is frozen")
    lock_rule: LockRule | None = Field(None, description="needed once anything is locked")

    @model_validator(mode="after")
    def _layout_and_rule_where_needed(self) -> SourceGrid:
        locks, freezes = max(self.lock_ratio) > 0, max(self.prune_ratio + self.lock_ratio) > 0
        if freezes and self.layout is None:
            raise ValueError("a source with frozen edges needs a layout: epl, erk, igq or uniform")
        if locks and self.lock_rule is None:
            raise ValueError("a source with locked edges needs a lock_rule: joint or mirrored")
        return self


class Row(Model):
    """Cells of a table: the grid over every field that is a list. What is left out comes from the table."""

    label: str | None = Field(None, description="how the row is called in the table; made from the search and source if absent")
    search: Axis[Name]
    source: SourceGrid = Field(default_factory=lambda: SourceGrid.model_validate({}), description="dense if absent")
    sparsity: Axis[Ratio] | None = Field(None, description="share of ALL weights that are zero; absent for weight training")
    dataset: Axis[Name] | None = None
    network: Axis[Name] | None = None
    recipe: Axis[Name] | None = None
    seeds: list[Seed] | None = Field(None, min_length=1)
    published: str | None = Field(None, description="id of a published value that stands beside the row")


class Table(Model):
    """A table: its rows, and what they have in common."""

    title: str
    dataset: Name
    network: Name
    recipe: Name
    seeds: list[Seed] = Field(min_length=1)
    note: str = Field("", description="printed under the table")
    rows: list[Row] = Field(min_length=1)


class Params(Model):
    """The whole of params.yaml."""

    datasets: dict[Name, Dataset]
    networks: dict[Name, Network]
    recipes: dict[Name, Recipe]
    searches: dict[Name, Search]
    tables: dict[Name, Table]
