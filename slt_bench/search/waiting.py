"""The watch over the images: whether a search waits for them, which a note says once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_SPAN, _SHARE = 20.0, 0.25  # seconds of a search that are judged together; share of them that may go into waiting


class Waiting:
    """The time that a search spends waiting for its next batch."""

    def __init__(self, workers: int) -> None:
        """Start the watch.

        Args:
            workers: threads that load images, for the message.
        """
        self.workers = workers
        self.batches, self.waited, self.worked, self.said = 0, 0.0, 0.0, False

    def watch(self, batches: Iterable[T]) -> Iterator[T]:
        """Yield batches, and say so where more time goes into waiting for them than into what is done with them.

        Args:
            batches: of an epoch, or of what is left of it.

        Yields:
            The batches.
        """
        asked: float | None = None  # the first batch of an epoch is waited for in any case, and once for the compiler too
        for batch in batches:
            got = time.perf_counter()
            yield batch
            done = time.perf_counter()
            if asked is not None:
                self._count(got - asked, done - got)
            asked = done

    def _count(self, waited: float, worked: float) -> None:
        self.batches, self.waited, self.worked = self.batches + 1, self.waited + waited, self.worked + worked
        total = self.waited + self.worked
        if self.said or total < _SPAN:
            return
        if self.waited > _SHARE * total:
            self.said = True
            comes, needed = self.batches / total, self.batches / max(self.worked, 1e-9)
            print(
                f"note: the search waits for images: {comes:.1f} batches a second come, {needed:.1f} could be used; more "
                f"`workers` (now {self.workers}) may help, where cores are free",
                flush=True,
            )
        self.batches, self.waited, self.worked = 0, 0.0, 0.0
