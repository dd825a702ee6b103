"""The store in which MLflow keeps its runs, opened without a race and without a long wait."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from slt_bench.common import paths
from slt_bench.common.files import in_turn
from slt_bench.tracking.contact import check_contact, chosen_uri, load_mlflow
from slt_bench.tracking.local_store import relocate_artifacts

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PLAIN = re.compile(r"[\w/.+ -]*")  # needs no quoting, about which MLflow and SQLAlchemy differ


def store_uri() -> str:
    """Look up the address of the store: MLFLOW_TRACKING_URI, or the SQLite file in the project's root."""
    return chosen_uri() or _sqlite_uri(paths.MLFLOW_STORE)


def open_store() -> MlflowClient:
    """Open the store; the first process creates it while others wait (parallel creation breaks SQLite stores).

    Raises:
        Exception: of many kinds, within seconds, where the store cannot be used; `one_line` makes one line of it.
    """
    load_mlflow()
    from mlflow import MlflowClient

    if chosen_uri():
        check_contact(chosen_uri())
    with alone():
        if not chosen_uri():
            _create_where_missing()
            relocate_artifacts(paths.MLFLOW_STORE)
        client = MlflowClient(store_uri())
        client.search_experiments(max_results=1)  # creates the schema
    return client


def alone() -> AbstractContextManager[None]:
    """Hold the lock under which experiments and runs are created once, while other processes wait for it."""
    return in_turn(paths.STATE / "mlflow.lock")


def experiment(client: MlflowClient, table: str) -> str:
    """Look up the id of a table's experiment, which is created where it is missing and restored where it was deleted."""
    with alone():
        known = client.get_experiment_by_name(table)
        if known and known.lifecycle_stage == "deleted":
            client.restore_experiment(known.experiment_id)
        if known:
            return str(known.experiment_id)
        created = str(client.create_experiment(table))
        if not chosen_uri():
            relocate_artifacts(paths.MLFLOW_STORE)
        return created


def _sqlite_uri(path: Path) -> str:
    """Write an SQLite file's address: absolute, by which MLflow tells stores apart, or relative where that needs quoting."""
    absolute = str(path.absolute())
    return f"sqlite:///{absolute if _PLAIN.fullmatch(absolute) else path}"


def _create_where_missing() -> None:
    """Create the project's store beside its place: it takes seconds, and a process killed meanwhile leaves no half of it."""
    from mlflow import MlflowClient

    store = paths.MLFLOW_STORE
    if store.exists() and not (store.is_file() and store.stat().st_size == 0):
        return
    for leftover in store.parent.glob(f"{store.name}.new-*"):
        leftover.unlink()
    new = store.with_name(f"{store.name}.new-{token_hex(4)}")  # MLflow tells stores apart by name
    MlflowClient(_sqlite_uri(new)).search_experiments(max_results=1)
    new.replace(store)
