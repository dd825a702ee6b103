"""The copy of batches to a GPU, each while the one before is at work."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor


def upload(batches: Iterator[tuple[Tensor, Tensor]], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Copy batches to a device, one ahead of whoever uses them.

    Args:
        batches: images and labels in pinned memory.
        device: a CUDA device.

    Yields:
        The batches on the device.
    """
    stream, ahead = _stream(device), None
    for batch in batches:
        with torch.cuda.stream(stream):
            images, labels = (part.to(device, non_blocking=True) for part in batch)
            copied = torch.cuda.Event()
            copied.record()
        if ahead is not None:
            yield _when_copied(*ahead)
        ahead = images, labels, copied
    if ahead is not None:
        yield _when_copied(*ahead)


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Make the stream of all copies to a device: torch keeps memory for each stream that it has seen."""
    return torch.cuda.Stream(device)


def _when_copied(images: Tensor, labels: Tensor, copied: torch.cuda.Event) -> tuple[Tensor, Tensor]:
    """Let the work that comes wait for a copy, and the copy's memory for that work."""
    current = torch.cuda.current_stream()
    current.wait_event(copied)
    for part in (images, labels):
        part.record_stream(current)
    return images, labels
