"""What goes together in a cell and what does not."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from slt_bench.errors import BenchError
from slt_bench.layouts import LayoutName, LockRule
from slt_bench.params import Dataset, Model, Network, Ratio, Recipe, Search

Location = tuple[str | int, ...]
_EPSILON = 1e-9  # 1 - 0.9 is a little less than 0.1
_IMAGE_SIZES = {"digits": 8, "cifar10": 32, "cifar100": 32}
_TRAIN_IMAGES = {"digits": 1438, "cifar10": 50_000, "cifar100": 50_000}


class Infeasible(BenchError):
    """A cell that cannot exist; `location` is the path of the mistake in params.yaml."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.location = location


class Source(Model):
    """The source network of one cell."""

    prune_ratio: Ratio = 0.0
    lock_ratio: Ratio = 0.0
    layout: LayoutName | None = None
    lock_rule: LockRule | None = None

    @property
    def freezing_ratio(self) -> float:
        """F = p + l."""
        return self.prune_ratio + self.lock_ratio

    @property
    def kind(self) -> str:
        """dense, randomly pruned or frozen."""
        return "frozen" if self.lock_ratio else "randomly pruned" if self.prune_ratio else "dense"

    def __str__(self) -> str:
        """For a reader: dense, or what is frozen and by which layout."""
        shares = [f"pruned {100 * self.prune_ratio:g} %"] if self.prune_ratio else []
        shares += [f"locked {100 * self.lock_ratio:g} %"] if self.lock_ratio else []
        rule = ", mirrored" if self.lock_rule == "mirrored" else ""
        return f"{' + '.join(shares)} ({self.layout}{rule})" if shares else "dense"

    @property
    def id(self) -> str:
        """Short name: what it freezes, in percent, and how."""
        if not self.freezing_ratio:
            return "dense"
        shares = [f"p{percent(self.prune_ratio)}"] if self.prune_ratio else []
        shares += [f"l{percent(self.lock_ratio)}"] if self.lock_ratio else []
        rule = ["mirrored"] if self.lock_rule == "mirrored" else []
        return "-".join(["".join(shares), str(self.layout), *rule])


def percent(ratio: float) -> str:
    """0.5 -> 50, 0.832 -> 83-2 (no dots: DVC reads them as paths)."""
    return f"{100 * ratio:.10g}".replace(".", "-")


def did_you_mean(word: str, valid: Any) -> str:
    """A hint for a misspelt word, or nothing."""
    near = get_close_matches(word, list(valid), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def sparsity_of(search: Search, source: Source, asked: float | None, at: Location) -> float:
    """The cell's sparsity: prune_ratio <= s <= 1 - lock_ratio (law 1); weight training keeps all free weights.

    Raises:
        Infeasible: it is missing, not wanted or out of range.
    """
    p, lock = source.prune_ratio, source.lock_ratio
    if p + lock > 1 + _EPSILON:
        raise Infeasible((*at, "source"), f"prune_ratio + lock_ratio = {p} + {lock} is more than 1")
    if search.kind == "weight-training":
        if asked is not None and asked != p:
            raise Infeasible((*at, "sparsity"), f"weight training keeps all free weights: leave sparsity out (got {asked})")
        return p
    if asked is None:
        raise Infeasible(at, f"sparsity is missing: {search.kind} needs one, from {p:g} to {1 - lock:g}")
    if not p - _EPSILON <= asked <= 1 - lock + _EPSILON:
        raise Infeasible(
            (*at, "sparsity"),
            f"prune_ratio <= sparsity <= 1 - lock_ratio does not hold: {p:g} <= {asked:g} <= {1 - lock:g}",
        )
    return asked


def check_fits(names: dict[str, Any], dataset: Dataset, network: Network, search: Search, recipe: Recipe, at: Location) -> None:
    """Network and images, batch and split, iterations and epochs must go together; `names` is how params.yaml calls them.

    Raises:
        Infeasible: they do not.
    """
    images, batch = dataset.images, recipe.batch_size
    size = images.size or _IMAGE_SIZES[images.source]
    if size < network.smallest_image:
        raise Infeasible(
            at, f"network {names['network']} ({network.kind}) needs images of {network.smallest_image} pixels, "
            f"dataset {names['dataset']} has {size}"
        )  # fmt: skip
    there = _TRAIN_IMAGES.get(images.source)
    if there is not None and (images.train_images or 0) > there:
        raise Infeasible(at, f"dataset {names['dataset']} asks for {images.train_images} of {there} training images")
    if (train := images.train_images or there) is not None:
        held_out = round(images.validation * train)
        if not 0 < held_out < train:
            raise Infeasible(at, f"validation {images.validation} of dataset {names['dataset']} leaves train or val empty")
        if batch > train - held_out:
            raise Infeasible(
                at, f"batch_size {batch} of recipe {names['recipe']} exceeds the {train - held_out} training images"
            )
    if search.kind == "iterative-edge-popup" and search.epochs == "total":
        iterations, epochs = search.iterations, recipe.epochs
        if epochs // iterations <= recipe.warmup_epochs:
            raise Infeasible(at, f"{iterations} iterations in {epochs} epochs leave none beyond the warm-up")
