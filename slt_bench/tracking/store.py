"""Where MLflow keeps its runs, opened without a race."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from slt_bench import paths
from slt_bench.checkpoint import in_turn

if TYPE_CHECKING:
    from mlflow import MlflowClient


def store_uri() -> str:
    """MLFLOW_TRACKING_URI, or the SQLite file in the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.MLFLOW_STORE.absolute()}"


def open_store() -> MlflowClient:
    """A client of the store; the first to come creates it, while others wait (parallel creation breaks SQLite stores)."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    with alone():
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
        return str(found.experiment_id) if found else str(client.create_experiment(table))
