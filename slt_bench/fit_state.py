"""The state of a search as it goes into a checkpoint."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from slt_bench.history import Epoch
from slt_bench.passes import Pass

if TYPE_CHECKING:
    from slt_bench.fit import Fit


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
    under_way = state["under_way"]
    fit.under_way = Pass.resume(under_way, fit.processes, fit.device) if under_way else None
    number, _ = fit.schedule.at(len(fit.history) - (0 if fit.under_way else 1))
    fit.network.select(fit.keeps[number])
