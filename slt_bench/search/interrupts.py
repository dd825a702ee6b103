"""When a search saves its state, and when it stops."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from slt_bench.compute.world import ALONE, Processes

_EVERY = 16  # steps after which several processes agree on it
_SAVE = 1  # less than any signal's number that is caught


class Stop(Exception):
    """The search was asked to stop; its state is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number  # of the signal


class Pause:
    """Asked after every step; saves every `minutes`, and saves and stops once a signal has come.

    Args:
        minutes: between two saved states; None saves none within an epoch.
        processes, device: those that must agree.
    """

    def __init__(self, minutes: float | None = None, processes: Processes = ALONE, device: torch.device | str = "cpu") -> None:
        self.minutes, self.processes, self.device = minutes, processes, torch.device(device)
        self.save: Callable[[], None] = lambda: None
        self.signal = 0
        self._saved = time.monotonic()

    def after_step(self, step: int) -> None:
        """Save or stop, if it is time to."""
        late = self.minutes is not None and time.monotonic() - self._saved > 60 * self.minutes
        asked = self.signal or (_SAVE if late else 0)
        if self.processes.count > 1:
            if step % _EVERY:
                return
            asked = self.processes.most(asked, self.device)
        if asked:
            self.save()
            self._saved = time.monotonic()
            self._stop(asked)

    def after_epoch(self) -> None:
        """Stop, if asked to; the state was saved just now."""
        self._saved = time.monotonic()
        self._stop(self.processes.most(self.signal, self.device))

    def between_batches(self, number: int, common: int) -> None:
        """Before a batch of validation, where nothing changes that is saved: stop, if asked to.

        All processes have `common` batches, some one more.
        """
        asked = self.signal
        if self.processes.count > 1:
            if number % _EVERY or number >= common:
                return
            asked = self.processes.most(asked, self.device)
        if asked:
            self.save()
            self._stop(asked)

    def _stop(self, asked: int) -> None:
        if asked > _SAVE:
            raise Stop(asked)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask for a stop while the block runs; a second one stops at once, without saving."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.signal = number
            signal.signal(number, before[number])

        before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
