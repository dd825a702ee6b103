"""Small helpers for words and plain values: grouping, hints for misspelt names, digests, numbers for a reader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")
K = TypeVar("K")


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Group items by a key; the groups are in the order of their first items."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts: {"a": {"b": 1}} becomes {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def did_you_mean(word: str, valid: Any) -> str:
    """Give a hint for a misspelt word, the end of a message; empty where no valid word is near."""
    matches = get_close_matches(word, list(valid), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def digest(content: Any) -> str:
    """Compute the digest of plain values: the first twelve hex digits of the SHA-256 of their canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def percent(ratio: float) -> str:
    """Write a ratio in percent for an id: 0.5 -> 50, 0.832 -> 83-2 (no dots: DVC reads them as paths)."""
    return f"{100 * ratio:.10g}".replace(".", "-")


def duration(seconds: float) -> str:
    """Write a duration for a reader: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
