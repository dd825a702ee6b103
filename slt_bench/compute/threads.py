"""How many threads a search on a CPU computes with: no more than pay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_EACH = 2_000_000  # edges times images of a batch that are worth one more thread (docs/performance.md)


@contextmanager
def threads_that_pay(edges: int, images: int) -> Iterator[None]:
    """Let torch compute with fewer threads, in the block, where a batch is so small that waiting costs more than they gain.

    The number goes by the network and the batch alone, and by the threads that this process was given; nothing that else
    runs on the machine changes it, and with it the last bits of a result.

    Args:
        edges: N of the source network; every one is multiplied at least once for an image.
        images: in one forward pass, which is a shard of a batch: whoever computes it.
    """
    given = torch.get_num_threads()
    torch.set_num_threads(min(given, max(1, edges * images // _EACH)))
    try:
        yield
    finally:
        torch.set_num_threads(given)
