"""The result of a single check, as `slt-bench doctor` prints it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result of a check of one thing.

    Attributes:
        what: the thing that was checked.
        found: its state.
        fix: what the user can do; empty where all is well.
    """

    what: str
    found: str
    fix: str = ""

    def __str__(self) -> str:
        """Return a marked line, and a second one with the fix if there is one."""
        return f"{'✗' if self.fix else '✓'} {self.what}: {self.found}" + (f"\n    fix: {self.fix}" if self.fix else "")
