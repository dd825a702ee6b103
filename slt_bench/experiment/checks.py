"""The checks of a cell: which parameters go together and which do not."""

from __future__ import annotations

from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.params.datasets import Images
from slt_bench.params.searches import Search
from slt_bench.params.sources import Source

Location = tuple[str | int, ...]
_EPSILON = 1e-9  # 1 - 0.9 is a little less than 0.1


class Infeasible(BenchError):
    """A mistake that keeps a cell from existing; `location` is its path in params.yaml."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.location = location


def sparsity_of(search: Search, source: Source, requested: float | None, location: Location) -> float:
    """Return the cell's sparsity: prune_ratio <= s <= 1 - lock_ratio (law 1); weight training keeps all free weights.

    Args:
        search: the cell's.
        source: the cell's.
        requested: sparsity that the row asks for, in [0, 1]; None if it names none.
        location: the row's, in params.yaml.

    Raises:
        Infeasible: the sparsity is missing, not wanted or out of range.
    """
    p, lock = source.prune_ratio, source.lock_ratio
    if p + lock > 1 + _EPSILON:
        raise Infeasible((*location, "source"), f"prune_ratio + lock_ratio = {p} + {lock} is more than 1")
    at = (*location, "sparsity")
    if search.learns == "weights":
        if requested is not None and requested != p:
            raise Infeasible(at, f"weight training keeps all free weights: leave sparsity out (got {requested})")
        return p
    if requested is None:
        most = f"{1 - lock:g}" if lock else "below 1"
        raise Infeasible(location, f"sparsity is missing: {search.kind} needs one, from {p:g} to {most}")
    if requested >= 1:
        raise Infeasible(at, f"a ticket of sparsity {requested:g} has no edge")
    if not p - _EPSILON <= requested <= 1 - lock + _EPSILON:
        raise Infeasible(at, f"prune_ratio <= sparsity <= 1 - lock_ratio does not hold: {p:g} <= {requested:g} <= {1 - lock:g}")
    return requested


def check_cell(cell: Cell, location: Location) -> None:
    """Check that the parts of a cell go together; `location` is that of its row, in params.yaml.

    Raises:
        Infeasible: they do not.
    """
    _check_images(cell, location)
    _check_batch(cell, location)
    try:
        cell.search.check(cell.recipe, cell.source.prune_ratio, cell.sparsity)
    except ValueError as error:
        raise Infeasible(location, f"search {cell.search_name}: {error}") from error
    _check_phases(cell, location)


def _check_phases(cell: Cell, location: Location) -> None:
    """Check the phases of a search, which may be anybody's: each has an epoch, and the last the sparsity of the ticket."""
    where = f"search {cell.search_name}, {cell.recipe.epochs} epochs"
    try:
        phases = cell.phases
    except Exception as error:  # whatever foreign code does
        raise Infeasible(location, f"{where}: its phases cannot be listed: {type(error).__name__}: {error}") from error
    if not phases or any(not isinstance(phase.epochs, int) or phase.epochs < 1 for phase in phases):
        found = ", ".join(str(phase.epochs) for phase in phases) or "none"
        raise Infeasible(location, f"{where}: each phase needs one or more, got phases of {found}")
    if abs(phases[-1].sparsity - cell.sparsity) > _EPSILON:
        last, wanted = phases[-1].sparsity, cell.sparsity
        raise Infeasible(location, f"{where}: the last phase has sparsity {last:g}, and not {wanted:g}, that of the ticket")


def check_ticket(source: Source, parent_sparsity: float, location: Location) -> None:
    """Check that a source prunes only what its parent's ticket drops, and locks only what that keeps.

    Args:
        source: the child's.
        parent_sparsity: share of all edges that the ticket drops, in [0, 1].
        location: the row's, in params.yaml.

    Raises:
        Infeasible: more is to be pruned or locked than the ticket has.
    """
    p, lock = source.prune_ratio, source.lock_ratio
    if p > parent_sparsity + _EPSILON or lock > 1 - parent_sparsity + _EPSILON:
        raise Infeasible(
            (*location, "source"),
            f"a ticket of sparsity {parent_sparsity:g} has {parent_sparsity:g} to prune and {1 - parent_sparsity:g} to lock, "
            f"not {p:g} and {lock:g}",
        )


def image_size(cell: Cell) -> int | None:
    """Look up the side of the images that a cell's network sees, in pixels; None where only the images themselves tell."""
    images = cell.dataset.images
    return cell.dataset.resolution or images.size or (images.release.image_size if images.release else None)


def _check_images(cell: Cell, location: Location) -> None:
    """Check the network against the image size, and the subset and the split of the images."""
    images, network, name = cell.dataset.images, cell.network, cell.dataset_name
    release, size = images.release, image_size(cell)
    if size is not None and size < network.smallest_image:
        raise Infeasible(
            location,
            f"network {cell.network_name} ({network.kind}) needs images of {network.smallest_image} pixels, "
            f"dataset {name} has {size}",
        )
    if release is not None and (images.train_images or 0) > release.train_images:
        raise Infeasible(location, f"dataset {name} asks for {images.train_images} of {release.train_images} training images")
    if (split := _split(images)) is not None and not all(split):
        raise Infeasible(location, f"validation {images.validation} of dataset {name} leaves train or val empty")


def _check_batch(cell: Cell, location: Location) -> None:
    split, batch_size = _split(cell.dataset.images), cell.recipe.batch_size
    if split is None:
        return
    images = sum(split) if cell.recipe.train_on == "all" else split[0]
    if batch_size > images:
        raise Infeasible(location, f"batch_size {batch_size} of recipe {cell.recipe_name} exceeds the {images} training images")


def _split(images: Images) -> tuple[int, int] | None:
    """Count the images in train and val; None if the source has to be read for that."""
    count = images.train_images or (images.release.train_images if images.release else None)
    if count is None:
        return None
    held_out = images.held_out(count)
    return count - held_out, held_out
