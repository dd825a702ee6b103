"""The project's own MLflow store: an SQLite file, whose artifacts lie beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_EXPERIMENT = "'mlruns/' || experiment_id"
_RUN = "'mlruns/' || experiment_id || '/' || run_uuid || '/artifacts'"


def put_right(store: Path, patience: float = 5.0) -> None:
    """Let artifacts be found from the project's root, wherever that lies: MLflow writes down where it was then.

    Args:
        store: the SQLite file.
        patience: seconds to wait for whoever is writing.

    Raises:
        sqlite3.Error: it is damaged, locked, or no store of MLflow.
    """
    with closing(sqlite3.connect(store, timeout=patience)) as database:
        database.execute("BEGIN IMMEDIATE")  # all or nothing; a lock shows here
        for table, column, place in (("experiments", "artifact_location", _EXPERIMENT), ("runs", "artifact_uri", _RUN)):
            local = f"({column} LIKE '/%' OR {column} LIKE 'file:%')"
            database.execute(f"UPDATE {table} SET {column} = {place} WHERE {local} AND {column} LIKE '%/' || {place}")
        database.commit()
