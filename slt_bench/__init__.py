"""slt-bench: the reproducible benchmark for strong lottery tickets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def load_ticket(path: str | Path) -> nn.Module:
    """The network of a ticket file as an ordinary module in evaluation mode, verified.

    Takes float32[batch, 3, size, size] images, normalised as the ticket's header says; gives logits [batch, classes].

    Raises:
        BenchError: the file is missing, damaged or no ticket.
    """
    from slt_bench.ticket.file import read_ticket

    return read_ticket(Path(path)).network.plain_module()
