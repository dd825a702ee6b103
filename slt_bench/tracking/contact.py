"""Contact with a store of MLflow: found out in seconds, and one line that says why there is none."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from slt_bench.common import paths
from slt_bench.common.errors import BenchError, Interrupted

PATIENCE = 10.0  # seconds that a store may take to answer for the first time
# MLflow's own defaults would wait for minutes; `slt-bench track` makes up for what is not written now.
_DEFAULTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
             "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false", "MLFLOW_DISABLE_TELEMETRY": "true",
             "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}  # fmt: skip


def chosen_uri() -> str:
    """Look up MLFLOW_TRACKING_URI; empty where the user has not set it."""
    return os.environ.get("MLFLOW_TRACKING_URI", "")


def without_password(text: str) -> str:
    """Remove user names and passwords from the addresses in a text."""
    return re.sub(r"//(?:[^/\s]*|\S*:\S*)@", "//***@", text)  # a password may hold a slash that nobody has escaped


def load_mlflow() -> None:
    """Import MLflow so that it gives up early and logs nothing: errors reach the user as one line.

    Raises:
        BenchError: MLflow is not installed.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        raise BenchError("MLflow is not installed: `pip install 'slt-bench[pipeline]'`, then `slt-bench track`") from error
    for name in ("mlflow", "alembic", "sqlalchemy", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def check_contact(uri: str) -> None:
    """Speak to a store for the first time, and wait a few seconds for its answer.

    Raises:
        Exception: of the store's library, or TimeoutError; `one_line` makes one line of it.
    """
    errors: list[Exception] = []

    def speak() -> None:
        try:
            _speak(uri)
        except Exception as error:
            errors.append(error)

    thread = Thread(target=speak, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {PATIENCE:g} s")
    if errors:
        raise errors[0]


def _speak(uri: str) -> None:
    from mlflow import MlflowClient
    from mlflow.store.db.db_types import DATABASE_ENGINES
    from mlflow.store.db.utils import create_sqlalchemy_engine

    kind = re.split(r"[:+]", uri)[0]
    if kind not in DATABASE_ENGINES:
        MlflowClient(uri).search_experiments(max_results=1)
        return
    engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]  # MLflow's stores would try ten times
    if kind == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    with engine.connect() as connection:
        if kind == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # a lock shows here, after 5 s
    engine.dispose()


@contextmanager
def one_line(command: str) -> Iterator[None]:
    """Turn every failure of MLflow in a block into one line, with the command that makes up for it.

    Raises:
        BenchError: the line; a stop stays a stop.
    """
    try:
        yield
    except Exception as error:
        for cause in _causes(error):  # MLflow's sessions wrap all that passes through them
            if isinstance(cause, Interrupted):
                raise cause from None
        if isinstance(error, BenchError):
            raise
        raise BenchError(_message(error, command)) from error


def _message(error: Exception, command: str) -> str:
    where, way_out = str(paths.MLFLOW_STORE), f"or {paths.MLFLOW_STORE} is moved away"
    if chosen_uri():
        where, way_out = chosen_uri(), "or MLFLOW_TRACKING_URI names another store"
    problem = f"MLflow at {where} was not brought up to date: {_reason(error)}"
    line = f"{problem}; once that is fixed, {way_out}, `{command}` makes up for it"
    return without_password(" ".join(line.split()))


def _reason(error: Exception) -> str:
    """Write the reason in few words: those of the system, SQLite or HTTP where they are the cause, else a first sentence."""
    for cause in reversed(_causes(error)):
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.strerror}: {cause.filename}" if cause.filename else cause.strerror
        if isinstance(cause, sqlite3.Error | TimeoutError):
            return str(cause)
        if isinstance(reason := getattr(cause, "reason", None), Exception):  # a request was not tried again
            return str(reason)
    text = str(error).strip() or type(error).__name__
    sentence = re.split(r"\n|(?<=[\w)'\"]{2})\. ", text)[0].strip()
    named = "" if len(sentence.split()) > 1 else f"{type(error).__name__}: "
    return named + (sentence if len(sentence) <= 160 else f"{sentence[:157]}...")


def _causes(error: BaseException) -> list[BaseException]:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    return causes
