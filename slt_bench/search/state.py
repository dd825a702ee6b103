"""What is kept of a search: its state, as it goes into a checkpoint, and its tickets."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from slt_bench.common.errors import BenchError
from slt_bench.networks.registry import batch_norm_statistics
from slt_bench.records.history import Epoch
from slt_bench.search.epoch_progress import Pass
from slt_bench.ticket.ticket import Ticket

if TYPE_CHECKING:
    from slt_bench.search.trainer import Fit


def state_of(fit: Fit) -> dict[str, Any]:
    """Everything that the rest of the search depends on, the same in every process."""
    return {
        "learned": fit.network.learned.detach(),
        "velocity": fit.optimizer.velocity,
        "batch_norm": fit.shards.state(),
        "masks": [fit.masks.seen, fit.masks.before],
        "history": [asdict(epoch) for epoch in fit.history],
        "seconds": fit.seconds,
        "under_way": fit.under_way.state(fit.processes) if fit.under_way else None,
        "best": fit.best,
        "sessions": fit.sessions,
    }


def load_state(fit: Fit, state: dict[str, Any]) -> None:
    """Take over what `state_of` gave, whatever the number of processes was."""
    with torch.no_grad():
        fit.network.learned.copy_(state["learned"])
        fit.optimizer.velocity.copy_(state["velocity"])
    fit.shards.load(state["batch_norm"])
    fit.masks.seen, fit.masks.before = (each.to(fit.device) for each in state["masks"])
    fit.history = [Epoch(**epoch) for epoch in state["history"]]
    fit.seconds, fit.best = state["seconds"], state["best"]
    fit.sessions = state["sessions"]
    under_way = state["under_way"]
    fit.under_way = Pass.resume(under_way, fit.processes, fit.device) if under_way else None
    number, _ = fit.schedule.at(len(fit.history) - (0 if fit.under_way else 1))
    fit.network.select(fit.keeps[number])


def check_agreement(fit: Fit) -> None:
    """Several processes must go on from the same state, which each of them has read from the project's directory.

    Raises:
        BenchError: they have not.
    """
    hasher = hashlib.sha256(fit.network.learned.detach().cpu().numpy().tobytes())
    hasher.update(f"{len(fit.history)} {fit.under_way.step if fit.under_way else 0}".encode())
    mine = int.from_bytes(hasher.digest()[:7], "little")
    if fit.processes.most(mine, fit.device) != -fit.processes.most(-mine, fit.device):
        raise BenchError("the processes found different saved states: all must see the same project directory")


def stored_now(fit: Fit) -> dict[str, Tensor]:
    """What a ticket of this moment stores, as copies."""
    mean, var = batch_norm_statistics(fit.network.module)
    what = fit.network.learned.detach() if fit.schedule.learned == "weights" else fit.network.mask
    return {"what": what.cpu().clone(), "mean": mean.clone(), "var": var.clone()}


def tickets(fit: Fit) -> tuple[Ticket, Ticket]:
    """The tickets of the best validation epoch at the final sparsity, and of the last epoch."""
    assert fit.best is not None
    return _ticket(fit, fit.best), _ticket(fit, {"epoch": len(fit.history), **stored_now(fit)})


def _ticket(fit: Fit, stored: dict[str, Any]) -> Ticket:
    trained = fit.schedule.learned == "weights"
    return Ticket(
        spec=fit.spec.model_copy(update={"epoch": stored["epoch"]}),
        mask=None if trained else stored["what"],
        weights=stored["what"] if trained else None,
        batch_norm_mean=stored["mean"],
        batch_norm_var=stored["var"],
        roles=fit.roles,
    )
