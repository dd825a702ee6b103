"""Ways in which MLflow's store is not to be had, each with what must be said of it."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

STORE = Path("mlflow.db")


def change(sql: str) -> None:
    with closing(sqlite3.connect(STORE)) as database:
        database.execute(sql)
        database.commit()


@contextmanager
def server(listens: bool) -> Iterator[str]:
    """One that accepts and never answers, or the port where one was."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        uri = f"http://127.0.0.1:{made.getsockname()[1]}"
        if listens:
            yield uri
            return
    yield uri


class Answer(BaseHTTPRequestHandler):
    """What a web server says that is no MLflow, or has other things to do."""

    def do_POST(self) -> None:
        """Say it."""
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Retry-After", "60")
        self.end_headers()
        self.wfile.write(b"<html>Hello. This is a page.</html>\n")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def web(status: int) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as made:
        Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}/{status}"
        made.shutdown()


@contextmanager
def locked() -> Iterator[None]:
    with closing(sqlite3.connect(STORE)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield


def done(harm: Callable[[], object]) -> AbstractContextManager[None]:
    harm()
    return nullcontext()


def folder() -> None:
    STORE.unlink()
    STORE.mkdir()


def another_database() -> None:
    STORE.unlink()
    change("CREATE TABLE recipes (name TEXT)")


HARMS: dict[str, tuple[Callable[[], AbstractContextManager[str | None]], str]] = {
    "dead server": (lambda: server(False), "Connection refused"),
    "silent server": (lambda: server(True), "no answer within 2 s"),
    "a page": (lambda: web(200), "not in a valid JSON format"),
    "no such page": (lambda: web(404), "error code 404"),
    "not now": (lambda: web(503), "too many 503 error responses"),
    "garbage": (lambda: done(lambda: STORE.write_bytes(b"garbage" * 999)), "file is not a database"),
    "truncated": (lambda: done(lambda: os.truncate(STORE, STORE.stat().st_size // 2)), "malformed"),
    "old schema": (lambda: done(lambda: change("UPDATE alembic_version SET version_num = '451aebb31d03'")), "out-of-date"),
    "unknown schema": (lambda: done(lambda: change("UPDATE alembic_version SET version_num = 'of 2099'")), "of 2099"),
    "lost table": (lambda: done(lambda: change("DROP TABLE experiment_tags")), "experiment_tags"),
    "another database": (lambda: done(another_database), "no such table: experiments"),
    "locked": (locked, "database is locked"),
    "folder": (lambda: done(folder), "unable to open database file"),
    "file:": (lambda: nullcontext("file:///tmp/nothing"), "filesystem tracking backend"),
    "no scheme": (lambda: nullcontext("nonsense"), "filesystem tracking backend"),
    "unknown scheme": (lambda: nullcontext("foo://bar"), "unsupported URI 'foo://bar'"),
    "no such host": (lambda: nullcontext("http://nowhere.invalid:5000"), "nowhere.invalid"),
    "folder that may not be": (lambda: nullcontext("sqlite:////dev/null/mlflow.db"), "File exists: /dev/null"),
    "folder elsewhere": (lambda: nullcontext(f"sqlite:///{Path.cwd()}"), "unable to open database file"),
    "missing driver": (lambda: nullcontext("postgresql+psycopg://me:secret@127.0.0.1:1/runs"), "No module named 'psycopg'"),
}
