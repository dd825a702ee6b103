"""Source networks: which share of the edges is frozen, and the layout or the ticket that chooses the edges."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from slt_bench.common.plugins import check_name
from slt_bench.common.text import percent
from slt_bench.params.base import Axis, Model, Name, Ratio, Seed

LAYOUTS = ("epl", "erk", "igq", "uniform")  # the layouts of ours that are equations: networks/layouts.py
_NAMES = (*LAYOUTS, "from_ticket")
_Schema = WithJsonSchema({"anyOf": [{"type": "string", "enum": list(_NAMES)}, {"type": "string", "pattern": ":"}]})
Layout = Annotated[str, AfterValidator(partial(check_name, ours=_NAMES, what="layout")), _Schema]
LockRule = Literal["joint", "mirrored"]


class Frozen(Model):
    """The share of a network's edges that are frozen, and how these are spread over its layers."""

    prune_ratio: Ratio = 0.0
    lock_ratio: Ratio = 0.0
    layout: Layout | None = None
    lock_rule: LockRule | None = None

    @property
    def freezing_ratio(self) -> float:
        """The freezing ratio F = p + l: the share of all edges that are pruned or locked."""
        return self.prune_ratio + self.lock_ratio

    @property
    def kind(self) -> Literal["dense", "randomly pruned", "frozen", "from ticket"]:
        """The kind of source, by what decides on the role of each edge."""
        if self.layout == "from_ticket":
            return "from ticket"
        return "frozen" if self.lock_ratio else "randomly pruned" if self.prune_ratio else "dense"

    def described(self, spread: str) -> str:
        """Describe the source network for a reader; `spread` says how the frozen edges are spread over the layers."""
        shares = [f"pruned {100 * self.prune_ratio:g} %"] if self.prune_ratio else []
        shares += [f"locked {100 * self.lock_ratio:g} %"] if self.lock_ratio else []
        spread += ", mirrored" if self.lock_rule == "mirrored" else ""
        return f"{' + '.join(shares)} ({spread})" if shares else "dense"


def _as_folder(name: str) -> str:
    """Write the name of a layout as a part of a folder's name, without colons and dots."""
    return name.replace(":", "-").replace(".", "-")


class Parent(Model):
    """The parent of a cell: its ticket provides the roles of the child's source. It is always searched in a dense source."""

    id: str
    identity: str
    search_name: str
    recipe_name: str
    sparsity: float
    seed: Seed
    own_seed: bool = False  # whether the row names the parent's seed; else it is the child's


class Source(Frozen):
    """The source network in which a cell's ticket is searched."""

    parent: Parent | None = None
    shuffled: bool = False  # whether the parent's ticket is shuffled inside each layer

    def __str__(self) -> str:
        """Describe the source network for a reader."""
        parent = self.parent
        if parent is None:
            return self.described(str(self.layout))
        seed = f" seed{parent.seed}" if parent.own_seed else ""
        shuffled = ", shuffled" if self.shuffled else ""
        return self.described(f"as {parent.search_name} s{percent(parent.sparsity)}{seed}{shuffled}")

    @property
    def id(self) -> str:
        """A short name: the frozen shares in percent, and the layout or the parent."""
        if not self.freezing_ratio:
            return "dense"
        shares = [f"p{percent(self.prune_ratio)}"] if self.prune_ratio else []
        shares += [f"l{percent(self.lock_ratio)}"] if self.lock_ratio else []
        spread = [_as_folder(str(self.layout))]
        if parent := self.parent:
            spread = ["as", "dense", parent.search_name, parent.recipe_name, f"s{percent(parent.sparsity)}"]
            spread += [f"seed{parent.seed}"] if parent.own_seed else []
            spread += ["shuffled"] if self.shuffled else []
        spread += ["mirrored"] if self.lock_rule == "mirrored" else []
        return "-".join(["".join(shares), *spread])


class TicketOf(Model):
    """The ticket that provides roles: another cell finds it, of the same dataset and network, in a dense source."""

    search: Name
    sparsity: Ratio
    recipe: Name | None = Field(None, description="the table's first recipe if absent")
    seed: Seed | None = Field(None, description="the child's seed if absent; another one re-draws the weights under the mask")
    shuffled: bool = Field(False, description="shuffle the ticket inside each layer")


class SourceGrid(Model):
    """The source networks of a row: their frozen shares and layouts; lists span a grid."""

    prune_ratio: Axis[Ratio] = Field(default_factory=lambda: [0.0], validate_default=True)
    lock_ratio: Axis[Ratio] = Field(default_factory=lambda: [0.0], validate_default=True)
    freezing_ratio: Axis[Ratio] | None = Field(None, description="in place of both: F = p + l, of which prune_share is pruned")
    prune_share: Axis[Ratio] | None = Field(None, description="p / F")
    layout: Axis[Layout] | None = Field(None, description="needed once anything is frozen")
    lock_rule: LockRule | None = Field(None, description="needed once anything is locked, but from a ticket")
    ticket: TicketOf | None = Field(None, description="layout from_ticket: prune what it drops, lock what it keeps")

    @property
    def ratios(self) -> list[tuple[float, float]]:
        """The pairs of prune ratio and lock ratio, rounded to twelve digits where they are products."""
        if self.freezing_ratio is None or self.prune_share is None:
            return list(product(self.prune_ratio, self.lock_ratio))
        pairs = [(round(ratio * share, 12), ratio) for ratio, share in product(self.freezing_ratio, self.prune_share)]
        return [(pruned, round(ratio - pruned, 12)) for pruned, ratio in pairs]

    @model_validator(mode="after")
    def _one_way_to_freeze(self) -> SourceGrid:
        if (self.freezing_ratio is None) != (self.prune_share is None):
            raise ValueError("freezing_ratio and prune_share go together")
        if self.freezing_ratio is not None and {"prune_ratio", "lock_ratio"} & self.model_fields_set:
            raise ValueError("give either prune_ratio and lock_ratio, or freezing_ratio and prune_share")
        return self

    @model_validator(mode="after")
    def _layout_and_rule_where_needed(self) -> SourceGrid:
        locks, freezes = any(locked for _, locked in self.ratios), any(map(sum, self.ratios))
        if freezes and self.layout is None:
            raise ValueError("a source with frozen edges needs a layout: epl, erk, igq, uniform or from_ticket, or module:name")
        if (self.layout is not None and "from_ticket" in self.layout) != (self.ticket is not None):
            raise ValueError("layout from_ticket and ticket go together")
        if self.layout == ["from_ticket"] and self.lock_rule is not None:
            raise ValueError("layout from_ticket knows no lock_rule: leave it out")
        if self.layout is not None and not freezes:
            raise ValueError("nothing is frozen: leave layout out, or give a prune_ratio, lock_ratio or freezing_ratio above 0")
        if self.lock_rule is not None and not locks:
            raise ValueError("nothing is locked: leave lock_rule out, or give a lock_ratio above 0")
        if locks and self.lock_rule is None and self.layout != ["from_ticket"]:
            raise ValueError("a source with locked edges needs a lock_rule: joint or mirrored")
        return self
