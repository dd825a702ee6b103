"""A snapshot of a search: whatever a ticket of one epoch stores, as copies that the search does not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from slt_bench.networks.registry import batch_norm_statistics
from slt_bench.ticket.found import Found
from slt_bench.ticket.ticket import Spec, Ticket


@dataclass(frozen=True)
class Snapshot:
    """The subnetwork after one epoch, on the CPU."""

    epoch: int  # from 1
    val_top1: float | None  # in percent; None where all images are trained on
    found: Found
    batch_norm_mean: Tensor  # float32[channels]
    batch_norm_var: Tensor  # float32[channels]

    @classmethod
    def take(cls, epoch: int, val_top1: float | None, found: Found, module: nn.Module) -> Snapshot:
        """Copy what a ticket stores.

        Args:
            epoch: from 1, after which the snapshot is taken.
            val_top1: validation accuracy after it, in percent.
            found: the subnetwork.
            module: whose batch-norm statistics belong to it.

        Returns:
            The snapshot.
        """
        mean, var = batch_norm_statistics(module)
        return cls(epoch, val_top1, found.copy(), mean.clone(), var.clone())

    def ticket(self, spec: Spec, roles: Tensor | None) -> Ticket:
        """Make the ticket.

        Args:
            spec: the header of the cell's tickets, with any epoch.
            roles: uint8[N], where the source network takes them from another ticket.

        Returns:
            The ticket of the snapshot's epoch.
        """
        return Ticket(
            spec=spec.model_copy(update={"epoch": self.epoch, "format": 1 if self.found.is_plain else 2}),
            found=self.found,
            batch_norm_mean=self.batch_norm_mean,
            batch_norm_var=self.batch_norm_var,
            roles=roles,
        )

    def state(self) -> dict[str, Any]:
        """Give all fields in plain values, for a checkpoint."""
        fields = {field: getattr(self, field) for field in self.__dataclass_fields__}
        return fields | {"found": self.found.state()}

    @classmethod
    def load(cls, state: dict[str, Any]) -> Snapshot:
        """Make the snapshot again from what `state` gave."""
        return cls(**state | {"found": Found(**state["found"])})
