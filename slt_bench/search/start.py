"""The start of a search: checks of its batches, roles that its source takes from another ticket, the header of its tickets."""

from __future__ import annotations

from torch import Tensor

from slt_bench.common.errors import BenchError
from slt_bench.compute.world import World
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import Manifest
from slt_bench.experiment.cell import Cell
from slt_bench.networks.roles import FREE, LOCKED, roles_from_ticket
from slt_bench.params.sources import Source
from slt_bench.records.standing import divergence
from slt_bench.ticket.file import read_ticket
from slt_bench.ticket.ticket import Spec, TicketSource
from slt_bench.ticket.top_k import Diverged


def check_batches(cell: Cell, train: Loader, world: World) -> None:
    """Check that there is a whole training batch, and that the processes can share one.

    Args:
        cell: whose recipe says how large a batch is and how many micro-batches (`shards`) it has.
        train: batches of the training images.
        world: the processes that share a batch.

    Raises:
        BenchError: naming the batch size or the number of processes.
    """
    recipe = cell.recipe
    if not len(train):
        raise BenchError(f"batch_size {recipe.batch_size} exceeds the {train.images} training images")
    if recipe.shards % world.size:
        raise BenchError(f"{world.size} processes cannot share a batch of {recipe.shards} shards (recipe {cell.recipe_name})")


def roles_of(cell: Cell) -> Tensor | None:
    """Draw the roles of a source network that takes them from the ticket of its parent; None for a cell without a parent.

    Raises:
        BenchError: the parent has not run with the parameters that this cell names.
        Diverged: the parent's search diverged.
    """
    wanted, parent, directory = cell.source, cell.source.parent, cell.parent_directory
    if parent is None or directory is None:
        return None
    path = directory / "ticket.safetensors"
    if divergence(directory, parent.identity):
        raise Diverged(f"its source takes its roles from the ticket of {parent.id}, which diverged")
    if not path.is_file():
        raise BenchError(f"this cell takes its roles from the ticket of another: first `slt-bench run {parent.id}`")
    file = read_ticket(path)
    if file.ticket.spec.identity != parent.identity:
        raise BenchError(f"{path} was found with other parameters: first `slt-bench run {parent.id}`")
    source = file.network.source
    kept = source.roles == LOCKED
    kept[source.roles == FREE] = file.network.mask
    pruned, locked = round(wanted.prune_ratio * source.size), round(wanted.lock_ratio * source.size)
    locked = min(locked, int(kept.sum()))
    pruned = min(pruned, source.size - int(kept.sum()))
    return roles_from_ticket(kept, [layer.size for layer in source.layers], cell.seed, pruned, locked, wanted.shuffled)


def make_spec(cell: Cell, manifest: Manifest) -> Spec:
    """Make the header of a cell's tickets.

    Args:
        cell: the experiment.
        manifest: of its dataset: classes and image size.

    Raises:
        BenchError: the images are no squares of one size, and the dataset has no resolution.
    """
    sizes = {file.image_size for file in manifest.files.values()}  # of training and of test images
    size = cell.dataset.resolution or (sizes.pop() if len(sizes) == 1 else None)
    if size is None:
        raise BenchError(f"the images of {cell.dataset_name} are no squares of one size: give it a resolution and a resize")
    return Spec(
        network=cell.network, source=_header_source(cell.source), seed=cell.seed,
        weight_init=cell.recipe.weight_init,
        scale=cell.recipe.scale, classes=manifest.classes, resize=cell.dataset.resize, mean=cell.dataset.mean,
        image_size=size,
        std=cell.dataset.std, learned=cell.search.learns, cell=cell.id, identity=cell.identity, epoch=0,
    )  # fmt: skip


def _header_source(source: Source) -> TicketSource:
    """Describe the source network as a ticket's header names it."""
    parent, frozen = source.parent, source.model_dump(exclude={"parent"})
    if parent is None:
        return TicketSource(**frozen)
    seed = parent.seed if parent.own_seed else None
    return TicketSource(**frozen, ticket=parent.id, ticket_identity=parent.identity, ticket_seed=seed)
