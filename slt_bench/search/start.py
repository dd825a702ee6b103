"""Where a search and its phases start: source network, scores, momentum."""

from __future__ import annotations

import torch
from torch import Tensor

from slt_bench.common.errors import BenchError
from slt_bench.data.manifest import Manifest
from slt_bench.experiment.cell import Cell
from slt_bench.networks.source import FREE, LOCKED, SourceNetwork, initial_scores, roles_from_ticket, uniform_scores
from slt_bench.params.searches import Learned
from slt_bench.params.sources import Source
from slt_bench.records.standing import divergence
from slt_bench.search.optimizer import Sgd
from slt_bench.search.schedules import Phase
from slt_bench.ticket.file import read_ticket
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.ticket import Spec, TicketSource
from slt_bench.ticket.top_k import Diverged


def initial_values(source: SourceNetwork, cell: Cell, learned: Learned) -> Tensor:
    """Where the search starts: scores, the free weights themselves, or a uniformly random ranking."""
    if learned == "weights":
        return source.weights[source.roles == FREE]
    return (
        initial_scores(source, cell.seed, cell.recipe.score_init) if learned == "scores" else uniform_scores(source, cell.seed)
    )


@torch.no_grad()
def begin_phase(network: MaskedNetwork, optimizer: Sgd, cell: Cell, phase: Phase, number: int) -> None:
    """Enter a phase (law 7): scores, momentum and, for hard iEP, what is closed.

    A closed edge has score and momentum 0: sign(0) = 0 gives it no gradient, so it stays at 0, behind all open edges.
    """
    if phase.scores != "carried":
        draw = number if phase.scores == "redrawn" else 0
        network.learned.copy_(initial_scores(network.source.to("cpu"), cell.seed, cell.recipe.score_init, draw))
    if phase.reset_momentum:
        optimizer.velocity.zero_()
    if phase.inside_last_mask:
        network.learned.mul_(network.mask)
        optimizer.velocity.mul_(network.mask)


def roles_of(cell: Cell) -> Tensor | None:
    """The roles of a source that takes them from another cell's ticket; None for any other.

    Raises:
        BenchError: that cell has not run with these parameters.
        Diverged: it has, and has no ticket.
    """
    asked, parent, directory = cell.source, cell.source.parent, cell.parent_directory
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
    pruned, locked = round(asked.prune_ratio * source.size), round(asked.lock_ratio * source.size)
    locked = min(locked, int(kept.sum()))
    pruned = min(pruned, source.size - int(kept.sum()))
    return roles_from_ticket(kept, [layer.size for layer in source.layers], cell.seed, pruned, locked, asked.shuffled)


def make_spec(cell: Cell, manifest: Manifest, learned: Learned) -> Spec:
    """The header of a cell's tickets.

    Raises:
        BenchError: the images are no squares of one size, and the dataset has no resolution.
    """
    size = cell.dataset.resolution or manifest.files["train"].image_size
    if size is None:
        raise BenchError(f"the images of {cell.dataset_name} are no squares of one size: give it a resolution and a resize")
    return Spec(
        network=cell.network, source=_header_source(cell.source), seed=cell.seed,
        weight_init=cell.recipe.weight_init,
        scale=cell.recipe.scale, classes=manifest.classes, resize=cell.dataset.resize, mean=cell.dataset.mean,
        image_size=size,
        std=cell.dataset.std, learned=learned, cell=cell.id, identity=cell.identity, epoch=0,
    )  # fmt: skip


def _header_source(source: Source) -> TicketSource:
    """The source network as a ticket's header names it."""
    parent, frozen = source.parent, source.model_dump(exclude={"parent"})
    if parent is None:
        return TicketSource(**frozen)
    seed = parent.seed if parent.own_seed else None
    return TicketSource(**frozen, ticket=parent.id, ticket_identity=parent.identity, ticket_seed=seed)
