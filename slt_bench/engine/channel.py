"""What head and workers tell each other while jobs run: the head asks for a stop, workers send notes.

`Line` is a worker's end, `Channel` the head's; there is a pair for threads of the head, for dask, and for any other executor.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol

from slt_bench.engine.job import Note, Outcome

Request = Literal["", "stop", "now"]  # nothing; save, then stop; stop without saving


class Line(Protocol):
    """A worker's end: goes out with a job, and is used in the thread that runs it."""

    @property
    def worker(self) -> str:
        """The worker's name; empty if it is the head itself."""

    def request(self) -> Request:
        """Return what the head asks for."""

    def tell(self, note: Note) -> None:
        """Send a note to the head."""


class Channel(Protocol):
    """The head's end."""

    has_notes: bool  # whether workers say that they have begun a job

    @property
    def line(self) -> Line:
        """The workers' end."""

    def listen(self, hear: Callable[[Note], None]) -> None:
        """Call a function, in any thread, with every note that comes; it may come twice or never."""

    def ask(self, request: Request) -> None:
        """Ask all workers to stop."""


class ThreadLine:
    """Both ends where workers are threads of the head."""

    has_notes = True

    def __init__(self) -> None:
        self.line, self.worker = self, ""  # a thread of the head is no other worker
        self._asked: Request = ""
        self._hear: Callable[[Note], None] | None = None

    def request(self) -> Request:
        """Return what the head asks for."""
        return self._asked

    def tell(self, note: Note) -> None:
        """Send a note to the head."""
        if self._hear:
            self._hear(note)

    def listen(self, hear: Callable[[Note], None]) -> None:
        """Call a function with every note."""
        self._hear = hear

    def ask(self, request: Request) -> None:
        """Ask all workers to stop."""
        self._asked = request


class FileLine:
    """Both ends where the head's directory is all that is common: a request is a file, and there are no notes."""

    has_notes = False

    def __init__(self, directory: Path) -> None:
        self.line = self
        self.directory = directory

    @property
    def worker(self) -> str:
        """The worker's name: its machine's, and the number of its process."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def request(self) -> Request:
        """Return what the head asks for."""
        if (self.directory / "now").exists():
            return "now"
        return "stop" if (self.directory / "stop").exists() else ""

    def tell(self, note: Note) -> None:
        """Send nothing: a report says it later."""

    def listen(self, hear: Callable[[Note], None]) -> None:
        """Expect no notes."""

    def ask(self, request: Request) -> None:
        """Ask all workers to stop."""
        (self.directory / request).touch()


class DaskLine:
    """A worker's end on dask: requests are events of the scheduler, notes are logged under a topic."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    @property
    def worker(self) -> str:
        """The worker's name on its scheduler."""
        from distributed import get_worker

        return str(get_worker().name)

    def request(self) -> Request:
        """Return what the head asks for; a job that the scheduler has given up, as when the head died, stops too."""
        from distributed import Event, get_worker

        worker = get_worker()
        state = worker.state.tasks.get(worker.get_current_task())
        if Event(f"{self.topic}-now").is_set():
            return "now"
        return "stop" if state is None or state.state == "cancelled" or Event(f"{self.topic}-stop").is_set() else ""

    def tell(self, note: Note) -> None:
        """Send a note to the head."""
        from distributed import get_worker

        get_worker().log_event(self.topic, {"note": asdict(note)})


class DaskChannel:
    """The head's end on dask."""

    has_notes = True

    def __init__(self, client: Any, topic: str) -> None:
        self.client, self.topic = client, topic
        self.line = DaskLine(topic)

    def listen(self, hear: Callable[[Note], None]) -> None:
        """Call a function, in the client's thread, with every note."""

        def heard(event: tuple[float, dict[str, Any]]) -> None:
            _, content = event
            note = content["note"]
            outcome = note.pop("outcome")
            hear(Note(**note, outcome=Outcome(**outcome) if outcome else None))

        self.client.subscribe_topic(self.topic, heard)

    def ask(self, request: Request) -> None:
        """Ask all workers to stop."""
        from distributed import Event

        Event(f"{self.topic}-{request}", client=self.client).set()
