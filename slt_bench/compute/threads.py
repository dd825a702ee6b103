"""The number of threads that a search on a CPU computes with: no more than pay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORK_PER_THREAD = 2_000_000  # edges times images of a forward pass that pay for one more thread (docs/performance.md)


@contextmanager
def threads_that_pay(edges: int, images: int) -> Iterator[None]:
    """Let torch compute with fewer threads, in the block, where a batch is so small that waiting costs more than they gain.

    The number goes by network, batch and the threads that this process may use. The load of the machine does not change it,
    since the last bits of a result depend on it.

    Args:
        edges: N of the source network; every one is multiplied at least once for an image.
        images: in one forward pass, which is a micro-batch.
    """
    allowed = torch.get_num_threads()
    torch.set_num_threads(min(allowed, max(1, edges * images // _WORK_PER_THREAD)))
    try:
        yield
    finally:
        torch.set_num_threads(allowed)
