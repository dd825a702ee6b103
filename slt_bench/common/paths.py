"""Where everything lies, relative to the project's root (the working directory of every command)."""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
SCHEMA = Path("docs/params.schema.json")
DATA = Path("data")
DOWNLOADS = Path("data/downloads")
OUTPUTS = Path("outputs")
CELLS = OUTPUTS / "cells"
TABLES = OUTPUTS / "tables"
SET_ASIDE = OUTPUTS / "set-aside"  # results that no table declares any more
PLAN = OUTPUTS / "plan.json"  # what DVC follows
RESULTS = Path("results")  # small tables as they came out somewhere, kept in the repository
PAGE = OUTPUTS / "report.html"  # of all tables
STATE = Path(".state")  # what lets an interrupted search go on: no DVC output, since DVC deletes outputs before a run
MLFLOW_STORE = Path("mlflow.db")


def dataset_dir(dataset: str) -> Path:
    """The prepared .beton files and the manifest of a dataset."""
    return DATA / dataset


def cells_dir(table: str) -> Path:
    """The results of a table's cells, a directory each."""
    return CELLS / table


def rates_table(table: str) -> str:
    """Name the directory and the experiment of a table's cells at other learning rates; no table may have such a name."""
    return f"{table}.rates"


def table_dir(table: str) -> Path:
    """Markdown, CSV, LaTeX and figures of a table."""
    return TABLES / table


def state_dir(cell_id: str, identity: str) -> Path:
    """Checkpoint of a running search, keyed by the hash of what determines its result."""
    return STATE / f"{cell_id}-{identity}"


def run_dir(token: str) -> Path:
    """What head and workers of a run tell each other, where they have a common disk."""
    return STATE / "runs" / token


def log_file(cell_id: str) -> Path:
    """What a cell says while it is one of many."""
    return STATE / "logs" / f"{cell_id}.log"
