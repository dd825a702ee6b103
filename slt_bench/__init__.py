"""slt-bench: the reproducible benchmark for strong lottery tickets.

Others take `load_ticket` and `results`. Each folder is a room whose `__init__.py` says what it holds. Data goes from `params`
and `experiment` (cells) over `data`, `networks`, `ticket` and `search` to `records` (results), `report` and `tracking`; `run`
does the work of the commands in `cli` and of DVC's stages, which begin in stages/, beside this package.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    from torch import nn


def load_ticket(path: str | Path) -> nn.Module:
    """Read and verify a ticket file, and return its network as an ordinary module in evaluation mode.

    Takes float32[batch, 3, size, size] images, normalised as the ticket's header says; gives logits [batch, classes].

    Raises:
        BenchError: the file is missing, damaged or no ticket.
    """
    from slt_bench.ticket.file import read_ticket

    return read_ticket(Path(path)).network.plain_module()


def results(table: str) -> pandas.DataFrame:
    """Read the results of a table as a frame with a row a cell; call it in the root of a project.

    Args:
        table: a name of params.yaml, such as "demo".

    Returns:
        The columns `cell`, `setting`, `identity`, `state` (done, stale, missing, diverged or left out), `reason`, `method` and
        `source`, then every parameter, every metric and what the search recorded. Metrics are NaN where there is no result that
        may stand beside others; a result that is stale by other code alone may.

    Raises:
        BenchError: there is no params.yaml here, it has a mistake or no such table, or pandas is not installed.
    """
    from slt_bench.common import paths
    from slt_bench.common.errors import BenchError
    from slt_bench.experiment.load import load_experiments
    from slt_bench.report.frame import results_frame
    from slt_bench.report.results import table_results

    if not paths.PARAMS.is_file():
        raise BenchError(f"there is no {paths.PARAMS} in {Path.cwd()}: results are read in the root of a project")
    return results_frame(table_results(load_experiments(paths.PARAMS).table(table)))
