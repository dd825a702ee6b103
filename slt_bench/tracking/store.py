"""Where MLflow keeps its runs, opened without a race and without a long wait."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from slt_bench.common import paths
from slt_bench.common.files import in_turn
from slt_bench.tracking.contact import check_contact, chosen_uri, load_mlflow
from slt_bench.tracking.own import put_right

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PLAIN = re.compile(r"[\w/.+ -]*")  # what an address says as it stands; MLflow and SQLAlchemy differ about quoting the rest


def store_uri() -> str:
    """MLFLOW_TRACKING_URI, or the SQLite file in the project's root, whatever that is called."""
    return chosen_uri() or _sqlite_uri(paths.MLFLOW_STORE)


def open_store() -> MlflowClient:
    """A client of the store; the first to come creates it, while others wait (parallel creation breaks SQLite stores).

    Raises:
        Exception: of many kinds, within seconds, where the store is not to be had; `one_line` makes one line of it.
    """
    load_mlflow()
    from mlflow import MlflowClient

    if chosen_uri():
        check_contact(chosen_uri())
    with alone():
        if not chosen_uri():
            _create_where_missing()
            put_right(paths.MLFLOW_STORE)
        client = MlflowClient(store_uri())
        client.search_experiments(max_results=1)  # creates the schema
    return client


def alone() -> AbstractContextManager[None]:
    """While others wait: for what must be made once."""
    return in_turn(paths.STATE / "mlflow.lock")


def experiment(client: MlflowClient, table: str) -> str:
    """Id of a table's experiment, made where it is missing, brought back where it was deleted."""
    with alone():
        found = client.get_experiment_by_name(table)
        if found and found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        if found:
            return str(found.experiment_id)
        made = str(client.create_experiment(table))
        if not chosen_uri():
            put_right(paths.MLFLOW_STORE)
        return made


def _sqlite_uri(path: Path) -> str:
    """Absolute, since MLflow remembers what it has opened by the address; relative where that could be misread."""
    absolute = str(path.absolute())
    return f"sqlite:///{absolute if _PLAIN.fullmatch(absolute) else path}"


def _create_where_missing() -> None:
    """Make our own store beside its place: whoever is killed in the middle, which takes seconds, leaves no half of one."""
    from mlflow import MlflowClient

    store = paths.MLFLOW_STORE
    if store.exists() and not (store.is_file() and store.stat().st_size == 0):
        return
    for left in store.parent.glob(f"{store.name}.new-*"):
        left.unlink()
    new = store.with_name(f"{store.name}.new-{token_hex(4)}")  # MLflow remembers what it has opened by the name
    MlflowClient(_sqlite_uri(new)).search_experiments(max_results=1)
    new.replace(store)
