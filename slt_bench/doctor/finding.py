"""What the doctor finds, and how it says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `mend` is what to do where it is not well."""

    what: str
    found: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{'✗' if self.mend else '✓'} {self.what}: {self.found}" + (f"\n    mend: {self.mend}" if self.mend else "")
