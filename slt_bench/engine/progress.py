"""What a run tells while it runs: a line for each cell that ends, and a bar in a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

from slt_bench.common.text import duration

_MOST_SHOWN = 4  # running cells that are named
_QUIET = 600.0  # seconds after which a log, where there is no bar, is told what runs


class Progress:
    """The progress of a run over all its cells."""

    def __init__(self, total: int, done: int) -> None:
        """Show a bar if standard error is a terminal.

        Args:
            total: cells of the run.
            done: those that had a result before.
        """
        self.total, self.done_before, self.ended = total, done, done
        self.running: dict[str, str] = {}  # id of a cell -> its worker
        self.began = self.said = time.monotonic()
        hidden = not (sys.stderr.isatty() and done < total)
        self.bar = tqdm(total=total, initial=done, unit="cell", disable=hidden, leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()

    def begin(self, cell_id: str, worker: str) -> None:
        """Show that a cell runs."""
        self.running[cell_id] = worker
        self.refresh()

    def end(self, cell_id: str) -> None:
        """Show that a cell runs no more."""
        self.running.pop(cell_id, None)
        self.refresh()

    def refresh(self) -> None:
        """Bring the bar up to date; where there is none, say what runs if nothing has been said for long."""
        shown = [
            f"{cell_id}{f' on {worker}' if worker else ''}" for cell_id, worker in list(self.running.items())[:_MOST_SHOWN]
        ]
        more = f" and {len(self.running) - _MOST_SHOWN} more" if len(self.running) > _MOST_SHOWN else ""
        text = f"{len(self.running)} running: {', '.join(shown)}{more}" if shown else ""
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.refresh()
        if self.bar.disable and text and time.monotonic() - self.said > _QUIET:
            self.say(f"[{self.ended}/{self.total}] {text}")

    def tell(self, outcome: str, seconds: float, worker: str = "") -> None:
        """Print the outcome of a cell, the seconds that it took, its worker, and the time that is left."""
        self.ended += 1
        left = self.total - self.ended
        rate = (time.monotonic() - self.began) / (self.ended - self.done_before)
        rest = f", {duration(rate * left)} left" if left else ""
        place = f" on {worker}" if worker else ""
        self.say(f"[{self.ended}/{self.total}] {outcome}  {duration(seconds)}{place}{rest}")
        self.bar.update(self.ended - self.bar.n)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.said = time.monotonic()
        self.bar.write(line, file=sys.stdout)
        sys.stdout.flush()
