"""The machine that runs searches: processes, loading threads and saved states."""

from __future__ import annotations

from pydantic import Field

from slt_bench.params.base import Model

MOST_WORKERS = 256


class Machine(Model):
    """How this machine runs searches. Results do not depend on it, but on a CPU their last bits depend on the threads."""

    processes: int = Field(
        1, ge=1, le=1024, description="processes of one search, one for each GPU; no more than its recipe has shards"
    )
    workers: int = Field(1, ge=1, le=MOST_WORKERS, description="threads of each process that load images")
    checkpoint_minutes: float = Field(10.0, gt=0, description="minutes between saved states within an epoch")
    afresh: bool = Field(
        False, description="a search whose saved state is of other code, data or libraries begins anew, in place of an error"
    )
    graphs: bool = Field(True, description="steps on a GPU as one CUDA graph, where the search allows it; same results, faster")
