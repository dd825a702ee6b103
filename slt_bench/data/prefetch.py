"""Results that threads compute ahead of the thread that consumes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(work: Callable[[T], R], items: Iterable[T], workers: int, most: int) -> Iterator[R]:
    """Yield work(item) for all items, in order, while threads compute the next results.

    Args:
        work: called in a thread; an error that it raises reaches the caller in the turn of its item.
        items: taken one by one, no sooner than needed.
        workers: threads, at least one.
        most: results that may be computed or under way before they are consumed, at least one.

    Yields:
        One result for each item, in the order of the items.
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[R]] = deque()
        remaining = iter(items)
        try:
            while True:
                waiting.extend(pool.submit(work, item) for item in islice(remaining, most - len(waiting)))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
