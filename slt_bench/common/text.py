"""Small helpers over words and plain values: grouping, hints for misspelt names, numbers for a reader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")
K = TypeVar("K")


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by a key that they have in common, in the order of the first of each."""
    found: dict[K, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested groups as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def did_you_mean(word: str, valid: Any) -> str:
    """A hint for a misspelt word, or nothing."""
    near = get_close_matches(word, list(valid), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def digest(content: Any) -> str:
    """Twelve hex digits of the SHA-256 of canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def percent(ratio: float) -> str:
    """0.5 -> 50, 0.832 -> 83-2 (no dots: DVC reads them as paths)."""
    return f"{100 * ratio:.10g}".replace(".", "-")


def duration(seconds: float) -> str:
    """For a reader: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
