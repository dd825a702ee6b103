"""Searches: what every search algorithm declares of itself. Each algorithm, with its parameters, is a file of its own.

A search in params.yaml names its algorithm by `kind`: one of `BUILT_IN`, or `module:Class`, anybody's subclass of `Search`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, GetJsonSchemaHandler, PlainValidator, SerializeAsAny
from pydantic_core import CoreSchema, PydanticCustomError

from slt_bench.common.colours import PURPLE
from slt_bench.common.plugins import resolve
from slt_bench.params.base import Model
from slt_bench.params.recipes import Recipe

BUILT_IN = {
    "edge-popup": "slt_bench.search.methods.edge_popup:EdgePopup",
    "iterative-edge-popup": "slt_bench.search.methods.iterative_edge_popup:IterativeEdgePopup",
    "weight-training": "slt_bench.search.methods.weight_training:WeightTraining",
    "random-mask": "slt_bench.search.methods.random_mask:RandomMask",
    "signed-edge-popup": "slt_bench.search.methods.signed_edge_popup:SignedEdgePopup",
    "signed-supermask": "slt_bench.search.methods.signed_supermask:SignedSupermask",
    "biprop": "slt_bench.search.methods.biprop:Biprop",
    "gem-miner": "slt_bench.search.methods.gem_miner:GemMiner",
    "iterand": "slt_bench.search.methods.iterand:IteRand",
    "multicoated": "slt_bench.search.methods.multicoated:Multicoated",
    "bernoulli": "slt_bench.search.methods.bernoulli:Bernoulli",
}

Learned = Literal["scores", "weights", "nothing"]  # what is optimised; with nothing, a fixed random ranking is cut
Selection = Annotated[
    Literal["global", "local"], Field(description="one threshold over all layers, or the same density in every layer")
]


@dataclass(frozen=True)
class Phase:
    """A run of epochs at one sparsity, and what happens as it begins."""

    epochs: int
    sparsity: float  # share of all N edges that are zero
    warmup: bool = True  # begin with the recipe's warm-up
    scores: Literal["carried", "redrawn", "rewound"] = "carried"
    inside_last_mask: bool = False  # hard: what the phase before dropped is closed
    reset_momentum: bool = False
    # A phase is one sweep of the learning rate, unless the sweep has epochs of the phases before and after it too.
    epochs_before: int = 0
    epochs_after: int = 0


class Search(Model):
    """A search algorithm as params.yaml names it: its parameters are fields, and unknown ones are refused.

    Attributes:
        name: of the algorithm in tables, where it has no options that `label` tells.
        hue: its colour in figures, as `#rrggbb`.
        learns: what the optimizer moves, as the header of a ticket calls it: a ticket of `weights` stores these and no mask;
            with `nothing` no gradient is computed.
        algorithm: the class that does the work, a `slt_bench.search.methods.contract.Method`.
    """

    kind: str

    name: ClassVar[str] = ""
    hue: ClassVar[str] = PURPLE
    learns: ClassVar[Learned] = "scores"
    algorithm: ClassVar[Callable[..., Any]]

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        return self.name or self.kind.rpartition(":")[2]

    @property
    def colour(self) -> str:
        """The colour of the search in figures, as `#rrggbb`; options may have one of their own."""
        return self.hue

    @property
    def is_searched(self) -> bool:
        """Whether a mask is learned, and neither weights are trained nor a random mask is taken."""
        return self.learns == "scores"

    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the phases of the search; one at the final sparsity unless an algorithm says otherwise.

        Args:
            recipe: how long a search is trained.
            start: sparsity of the source network, in [0, 1].
            target: sparsity of the ticket, in [start, 1].

        Returns:
            At least one phase; the ticket is one of the last phase.
        """
        return (Phase(recipe.epochs, target),)

    def check(self, recipe: Recipe, start: float, target: float) -> None:
        """Check that the parameters go together with those of a cell; arguments as those of `phases`.

        Raises:
            ValueError: they do not; the message names what to change.
        """


def _declared(value: Any) -> Search:
    """Make the declaration that a mapping in params.yaml stands for."""
    if isinstance(value, Search):
        return value
    if not isinstance(value, dict):
        raise PydanticCustomError("dict_type", "Input should be a mapping of keys to values")
    if "kind" not in value:
        raise ValueError(f"kind is missing: one of {', '.join(BUILT_IN)}, or module:Class")
    return search_class(value["kind"]).model_validate(value)


def search_class(kind: Any) -> type[Search]:
    """Import the declaration of an algorithm.

    Args:
        kind: a name of ours, or `module:Class`.

    Raises:
        ValueError: there is no such class, or it declares no search.
    """
    found = resolve(str(kind), BUILT_IN)
    if not (isinstance(found, type) and issubclass(found, Search) and hasattr(found, "algorithm")):
        raise ValueError(f"'{kind}' is no search: a subclass of slt_bench's Search with its algorithm is needed")
    return found


class _Schema:
    """The annotation that writes the JSON schema of a search: one of ours, or a plug-in with keys of its own."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        plugin = {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string", "pattern": ":"}}}
        return {"anyOf": [*(search_class(kind).model_json_schema() for kind in BUILT_IN), plugin]}


AnySearch = Annotated[SerializeAsAny[Search], PlainValidator(_declared), _Schema()]
