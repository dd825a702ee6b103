"""Checks of a search, which may be anybody's, before its first epoch and after each."""

from __future__ import annotations

from slt_bench.common.errors import BenchError
from slt_bench.search.methods.contract import unheeded
from slt_bench.search.steps.selector import Selector
from slt_bench.search.trainer import Trainer
from slt_bench.ticket.found import Found


def check_start(trainer: Trainer) -> None:
    """Refuse a ticket without an edge, and an algorithm that does not do what the phases of its declaration ask for.

    Raises:
        BenchError: the sparsity leaves no edge of so small a network; or new scores, the last mask or momentum are asked for,
            and the algorithm has no `begin_phase`.
    """
    if not sum(_wanted(trainer)):
        cell, edges = trainer.cell, trainer.network.source.size
        raise BenchError(f"sparsity {cell.sparsity:.15g} leaves none of the {edges:,} edges of {cell.network_name}")
    if reason := unheeded(trainer.method, trainer.schedule.phases):
        raise BenchError(reason)


def check_found(trainer: Trainer) -> None:
    """Refuse an algorithm whose ticket is not what its declaration and the cell say: nothing could be compared with it.

    Args:
        trainer: after an epoch; before those of the final sparsity there is nothing to check.

    Raises:
        BenchError: the ticket has weights in place of a mask or the other way round, another number of edges than asked, or no
            coat on a kept edge.
    """
    cell, epoch = trainer.cell, trainer.log.history[-1]
    if trainer.best is None:
        return
    locked, free = _wanted(trainer)
    if epoch.kept != locked + free:
        wrong = f"keeps {epoch.kept:,} edges, and not the {locked + free:,} of sparsity {cell.sparsity:g}"
    else:
        wrong = _fault(trainer.best.found, cell.search.learns == "weights", free)
    if wrong:
        kind = cell.search.kind
        raise BenchError(f"{kind}, after epoch {epoch.epoch}, {wrong}: `slt-bench check-search {kind}` tries its laws")


def _wanted(trainer: Trainer) -> tuple[int, int]:
    """Count the locked and the free edges that a ticket of the cell's sparsity keeps."""
    network = trainer.network
    return int(network.budget.locked.sum()), Selector(network).keep_for(trainer.cell.sparsity)[0]


def _fault(found: Found, is_of_weights: bool, wanted: int) -> str:
    """Say what is wrong with a found subnetwork that is to have so many free edges; empty if nothing is."""
    if (found.weights is not None, found.mask is None) != (is_of_weights, is_of_weights):
        return "must find trained weights, and no mask" if is_of_weights else "must find a mask, and no trained weights"
    if found.mask is None:
        return ""
    if (kept := int(found.mask.sum())) != wanted:
        return f"finds {kept:,} free edges, and not the {wanted:,} that its network keeps"
    return "finds kept edges with no coat" if found.coats is not None and bool((found.coats[found.mask] < 1).any()) else ""
