"""Whether a store of MLflow is to be had, found out in seconds, and one line that says why it is not."""

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
# MLflow's own would wait for minutes; what it does not get through now, `slt-bench track` makes up for.
_DEFAULTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
             "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false", "MLFLOW_DISABLE_TELEMETRY": "true",
             "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}  # fmt: skip


def chosen_uri() -> str:
    """MLFLOW_TRACKING_URI, empty where the user has not set it."""
    return os.environ.get("MLFLOW_TRACKING_URI", "")


def without_password(text: str) -> str:
    """A text in which addresses name no user."""
    return re.sub(r"//[^/\s]*@", "//***@", text)


def load_mlflow() -> None:
    """Import MLflow so that it is brief and quiet: what it and its libraries would log ends in one line of ours.

    Raises:
        BenchError: it is not installed.
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
    """Speak to a store for the first time, and wait for its answer for seconds only.

    Raises:
        Exception: what its library raises, or TimeoutError; `one_line` makes one line of it.
    """
    failed: list[Exception] = []

    def speak() -> None:
        try:
            _speak(uri)
        except Exception as error:
            failed.append(error)

    thread = Thread(target=speak, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {PATIENCE:g} s")
    if failed:
        raise failed[0]


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
    """Whatever keeps MLflow from its work becomes one line, with the command that makes up for it.

    Raises:
        BenchError: that line; a stop stays a stop.
    """
    try:
        yield
    except Exception as error:
        for cause in _causes(error):  # MLflow's sessions wrap all that passes through them
            if isinstance(cause, Interrupted):
                raise cause from None
        if isinstance(error, BenchError):
            raise
        raise BenchError(_told(error, command)) from error


def _told(error: Exception, command: str) -> str:
    where, way_out = str(paths.MLFLOW_STORE), f"or {paths.MLFLOW_STORE} is moved away"
    if chosen_uri():
        where, way_out = chosen_uri(), "or MLFLOW_TRACKING_URI names another store"
    line = f"MLflow at {where} was not brought up to date: {_reason(error)}; once that is mended, {way_out}, "
    told = " ".join(f"{line}`{command}` makes up for it".split())
    return without_password(told)


def _reason(error: Exception) -> str:
    """A few words: those of the operating system, SQLite or HTTP where they are at the bottom, else the first sentence."""
    for cause in reversed(_causes(error)):
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.strerror}: {cause.filename}" if cause.filename else cause.strerror
        if isinstance(cause, sqlite3.Error | TimeoutError):
            return str(cause)
        if isinstance(given := getattr(cause, "reason", None), Exception):  # why a request was tried no more
            return str(given)
    text = str(error).strip() or type(error).__name__
    sentence = re.split(r"\n|(?<=[\w)'\"]{2})\. ", text)[0].strip()
    named = "" if len(sentence.split()) > 1 else f"{type(error).__name__}: "
    return named + (sentence if len(sentence) <= 160 else f"{sentence[:157]}...")


def _causes(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found
