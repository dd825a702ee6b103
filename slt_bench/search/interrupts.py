"""Interrupts: when a search saves its state, and when it stops."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from slt_bench.compute.world import ALONE, World

_AGREE_EVERY = 16  # steps, or batches of validation, after which several processes agree on what to do
_SAVE = 1  # a request to save alone; the numbers of the signals that are caught are larger


class Stop(Exception):
    """The search was asked to stop; its state is saved."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


class Interrupts:
    """The interrupts of a search: asked after every step, it saves every few minutes, and saves and stops after a signal."""

    def __init__(self, minutes: float | None = None, world: World = ALONE, device: torch.device | str = "cpu") -> None:
        """Start the clock.

        Args:
            minutes: between two saved states; None saves none within an epoch.
            world: the processes that must save and stop at the same step.
            device: one that they exchange tensors from.
        """
        self.minutes, self.world, self.device = minutes, world, torch.device(device)
        self.save: Callable[[], None] = lambda: None
        self.signal_number = 0  # of the signal that has come, or 0
        self._saved_at = time.monotonic()

    def after_step(self, step: int) -> None:
        """Save or stop, if it is time to.

        Args:
            step: steps of the epoch that are done.

        Raises:
            Stop: a signal has come; the state is saved.
        """
        late = self.minutes is not None and time.monotonic() - self._saved_at > 60 * self.minutes
        request = self.signal_number or (_SAVE if late else 0)
        if self.world.size > 1:
            if step % _AGREE_EVERY:
                return
            request = self.world.largest(request, self.device)
        if request:
            self.save()
            self._saved_at = time.monotonic()
            self._stop(request)

    def after_epoch(self) -> None:
        """Stop, if a signal has come; the state was saved just now.

        Raises:
            Stop: in all processes, if one of them got a signal.
        """
        self._saved_at = time.monotonic()
        self._stop(self.world.largest(self.signal_number, self.device))

    def between_batches(self, number: int, common: int) -> None:
        """Save and stop, if a signal has come, before a batch of validation, during which nothing changes that is saved.

        Args:
            number: of the batch in this process, from 0.
            common: batches that every process has; some have one more.

        Raises:
            Stop: the state is saved.
        """
        request = self.signal_number
        if self.world.size > 1:
            if number % _AGREE_EVERY or number >= common:
                return
            request = self.world.largest(request, self.device)
        if request:
            self.save()
            self._stop(request)

    def _stop(self, request: int) -> None:
        """Stop, if a signal asks for it, once the one process that writes has saved: its launcher ends with the first to go."""
        if request > _SAVE:
            self.world.largest(request, self.device)
            raise Stop(request)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT ask for a stop while the block runs; a second one stops at once, without saving."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.signal_number = number
            signal.signal(number, handlers[number])

        handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in handlers:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
