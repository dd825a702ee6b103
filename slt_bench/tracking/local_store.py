"""The project's own MLflow store: an SQLite file, whose artifacts lie beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_EXPERIMENT = "'mlruns/' || experiment_id"
_RUN = "'mlruns/' || experiment_id || '/' || run_uuid || '/artifacts'"


def relocate_artifacts(store: Path, patience: float = 5.0) -> None:
    """Make the store's paths of artifacts relative to the project's root, which may have moved since MLflow wrote them.

    Args:
        store: the SQLite file.
        patience: seconds to wait for whoever is writing.

    Raises:
        sqlite3.Error: the store is damaged, locked, or none of MLflow's.
    """
    with closing(sqlite3.connect(store, timeout=patience)) as database:
        database.execute("BEGIN IMMEDIATE")  # all or nothing; a lock shows here
        for table, column, path in (("experiments", "artifact_location", _EXPERIMENT), ("runs", "artifact_uri", _RUN)):
            local = f"({column} LIKE '/%' OR {column} LIKE 'file:%')"
            database.execute(f"UPDATE {table} SET {column} = {path} WHERE {local} AND {column} LIKE '%/' || {path}")
        database.commit()
