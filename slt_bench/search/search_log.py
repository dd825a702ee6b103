"""The log of a search: its history, and when and for how long it ran."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from slt_bench.records.history import Epoch


@dataclass
class SearchLog:
    """The finished epochs of a search with their times, the sessions that it took, and what had no kernel of equal bits."""

    history: list[Epoch] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of each finished epoch
    sessions: list[dict[str, Any]] = field(default_factory=list)  # one for each time that the search was begun or resumed
    nondeterministic: set[str] = field(default_factory=set)  # operations of all sessions, as torch names them

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    def add(self, epoch: Epoch, seconds: float) -> None:
        """Record a finished epoch.

        Args:
            epoch: its line of the history.
            seconds: that it took.
        """
        self.history.append(epoch)
        self.seconds.append(seconds)

    def state(self) -> dict[str, Any]:
        """Give all that was recorded, as plain values."""
        return {
            "history": [asdict(epoch) for epoch in self.history],
            "seconds": self.seconds,
            "sessions": self.sessions,
            "nondeterministic": sorted(self.nondeterministic),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.seconds, self.sessions = state["seconds"], state["sessions"]
        self.nondeterministic.update(state["nondeterministic"])  # it may be under way: what comes goes into this set
