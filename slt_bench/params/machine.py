"""The machine at hand."""

from __future__ import annotations

from pydantic import Field

from slt_bench.params.base import Model

MOST_WORKERS = 256


class Machine(Model):
    """How this machine runs things. No result depends on it, but on a CPU the last bits on the threads of each process."""

    processes: int = Field(1, ge=1, le=1024, description="for one search, one for each GPU; no more than its recipe has shards")
    workers: int = Field(1, ge=1, le=MOST_WORKERS, description="threads of each process that load images")
    checkpoint_minutes: float = Field(10.0, gt=0, description="between saved states within an epoch")
