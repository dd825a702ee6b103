"""What goes together in a cell and what does not."""

from __future__ import annotations

from typing import Any

from slt_bench.common.errors import BenchError
from slt_bench.params.datasets import Dataset, Images
from slt_bench.params.networks import Network
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import EdgePopup, IterativeEdgePopup, Search, iterations_at
from slt_bench.params.sources import Source

Location = tuple[str | int, ...]
MOST_ITERATIONS = 100
_EPSILON = 1e-9  # 1 - 0.9 is a little less than 0.1


class Infeasible(BenchError):
    """A cell that cannot exist; `location` is the path of the mistake in params.yaml."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.location = location


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


def check_fits(names: dict[str, Any], dataset: Dataset, network: Network, at: Location) -> None:
    """Network and images, and the parts of a dataset, must go together; `names` is how params.yaml calls them.

    Raises:
        Infeasible: they do not.
    """
    images = dataset.images
    release = images.release
    size = dataset.resolution or images.size or (release.image_size if release else None)
    if size is not None and size < network.smallest_image:
        raise Infeasible(
            at, f"network {names['network']} ({network.kind}) needs images of {network.smallest_image} pixels, "
            f"dataset {names['dataset']} has {size}"
        )  # fmt: skip
    if release is not None and (images.train_images or 0) > release.train_images:
        raise Infeasible(
            at, f"dataset {names['dataset']} asks for {images.train_images} of {release.train_images} training images"
        )
    if (split := _split(images)) is not None and not all(split):
        raise Infeasible(at, f"validation {images.validation} of dataset {names['dataset']} leaves train or val empty")


def _split(images: Images) -> tuple[int, int] | None:
    """Images of train and val; None where only the images tell."""
    count = images.train_images or (images.release.train_images if images.release else None)
    if count is None:
        return None
    held_out = images.held_out(count)
    return count - held_out, held_out


def check_schedule(
    names: dict[str, Any], dataset: Dataset, search: Search, source: Source, recipe: Recipe, sparsity: float, at: Location
) -> None:
    """Batch and split, iterations and epochs, sparsities and source must go together.

    Raises:
        Infeasible: they do not.
    """
    split = _split(dataset.images)
    if split is not None and recipe.batch_size > split[0]:
        raise Infeasible(
            at, f"batch_size {recipe.batch_size} of recipe {names['recipe']} exceeds the {split[0]} training images"
        )
    if isinstance(search, EdgePopup | IterativeEdgePopup) and search.selection == "global" and recipe.score_init == "constant":
        raise Infeasible(
            at,
            "constant scores are equal in all of a layer: global selection would keep whole layers and empty others; "
            "use selection: local",
        )
    keep = search.keep if isinstance(search, EdgePopup | IterativeEdgePopup) else None
    if keep is not None and (count := iterations_at(keep, source.prune_ratio, sparsity)) > MOST_ITERATIONS:
        raise Infeasible(
            at, f"keep: {keep} of search {names['search']} makes {count:,} iterations; {MOST_ITERATIONS} are the most"
        )
    if search.kind == "iterative-edge-popup":
        if search.scores == "redrawn" and recipe.score_init == "constant":
            raise Infeasible(at, "constant scores cannot be redrawn: use scores: rewound, which is the same")
        count = search.count(source.prune_ratio, sparsity)
        if search.epochs == "total" and recipe.epochs // count <= recipe.warmup_epochs:
            raise Infeasible(at, f"{count} iterations in {recipe.epochs} epochs leave none beyond the warm-up")
        through = search.sparsities
        if through is not None and not (source.prune_ratio <= through[0] and through[-1] == sparsity):
            raise Infeasible(
                at, f"search {names['search']} goes through the sparsities {through}: they must begin at prune_ratio "
                f"({source.prune_ratio:g}) or above and end at the row's sparsity ({sparsity:g})"
            )  # fmt: skip


def check_ticket(prune_ratio: float, lock_ratio: float, sparsity: float, at: Location) -> None:
    """A source from a ticket can prune only what the ticket drops and lock only what it keeps.

    Raises:
        Infeasible: more is asked.
    """
    if prune_ratio > sparsity + _EPSILON or lock_ratio > 1 - sparsity + _EPSILON:
        raise Infeasible(at, f"a ticket of sparsity {sparsity:g} has {sparsity:g} to prune and {1 - sparsity:g} to lock, "
                             f"not {prune_ratio:g} and {lock_ratio:g}")  # fmt: skip
