"""A table's cells as one pandas frame, for analysis in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slt_bench.common.errors import BenchError
from slt_bench.common.text import grouped
from slt_bench.report.columns import cell_columns
from slt_bench.report.results import TableResults

if TYPE_CHECKING:
    import pandas


def results_frame(results: TableResults) -> pandas.DataFrame:
    """Make a frame with a row a cell, in the order of the table's cells.

    Args:
        results: of the table.

    Returns:
        The columns `cell`, `setting`, `shown` (whether a line is of it, and not only of its child), `identity`, `state` (done;
        stale: of other code; left out: of other parameters or images, or damaged; missing; diverged), `reason`, `method` and
        `source`, then every parameter, every metric and what the search recorded.

    Raises:
        BenchError: pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        if error.name != "pandas":
            raise
        raise BenchError("pandas is not installed: `pip install 'slt-bench[pipeline]'`") from error
    rows = cell_columns(results)
    names = dict.fromkeys(name for row in rows for name in row)
    groups = grouped(names, lambda name: name.partition(".")[0])  # what only some cells have stands beside its like
    return pandas.DataFrame(rows, columns=[name for group in groups.values() for name in group])
