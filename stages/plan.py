"""plan: params.yaml -> pipelines/TABLE/{cells.json,dvc.yaml} and pipelines/code.json.

DVC reads its graph before it runs anything, so the files that hold the graph are kept in the repository and must agree with
params.yaml. This is the first stage of every pipeline: where they do not agree, it mends them and asks to run again.
"""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from slt_bench import paths
from slt_bench.cells import Cell, expand
from slt_bench.checkpoint import write_text
from slt_bench.errors import BenchError, run_command
from slt_bench.params import Params
from slt_bench.params_file import load_params
from slt_bench.record import code_digest

PIPELINES = Path("pipelines")
CODE = PIPELINES / "code.json"
_HEADER = "# Generated from params.yaml by `python -m stages.plan`: do not edit.\n"


def pipeline_files(params: Params) -> dict[Path, str]:
    """Path -> content of every generated file. A cell that several tables need is run by the first of them."""
    files: dict[Path, str] = {}
    owner: dict[str, str] = {}
    for table in params.tables:
        cells = expand(params, table)
        own = [cell for cell in cells if owner.setdefault(cell.id, table) == table]
        content = {
            "cells": {cell.id: cell.model_dump(mode="json") for cell in own},
            "table": params.tables[table].model_dump(mode="json"),
        }
        files[PIPELINES / table / "cells.json"] = json.dumps(content, indent=1) + "\n"
        files[PIPELINES / table / "dvc.yaml"] = _HEADER + _yaml(_pipeline(table, cells, own))
    return files


def _pipeline(table: str, cells: list[Cell], own: list[Cell]) -> dict[str, Any]:
    stages: dict[str, Any] = {}
    if own:
        stages["search"] = {"foreach": "${cells}", "do": _search(table)}
        stages["evaluate"] = {"foreach": "${cells}", "do": _evaluate(table)}
    stages["report"] = _report(table, cells)
    figures = [f"../../{paths.table_dir(table)}/figures/{name}.png" for name in ("accuracy-size", "accuracy-sparsity")]
    curves = {f"../../{paths.cell_dir(cell.id)}/history.csv": "val_top1" for cell in cells}
    plots = [*figures, {f"{table}: validation accuracy": {"x": "epoch", "y": curves}}]
    return {**({"vars": ["cells.json"]} if own else {}), "stages": stages, "plots": plots}


def _search(table: str) -> dict[str, Any]:
    cell = str(paths.cell_dir("${key}"))
    names = ("ticket.safetensors", "last.safetensors", "history.csv", "search.json")
    return {
        "wdir": "../..",
        "cmd": f"python -m stages.search {table} ${{key}}",
        "deps": [f"{paths.dataset_dir('${item.dataset_name}')}/manifest.json"],
        "params": [{f"{PIPELINES}/{table}/cells.json": ["cells.${key}"]}, {str(CODE): ["search"]}],
        "outs": [f"{cell}/{name}" for name in names],
    }


def _evaluate(table: str) -> dict[str, Any]:
    cell = str(paths.cell_dir("${key}"))
    return {
        "wdir": "../..",
        "cmd": f"python -m stages.evaluate {table} ${{key}}",
        "deps": [f"{cell}/ticket.safetensors", f"{cell}/last.safetensors",
                 f"{paths.dataset_dir('${item.dataset_name}')}/manifest.json"],
        "params": [{str(CODE): ["evaluate"]}],
        "outs": [f"{cell}/confusion.json"],
        "metrics": [f"{cell}/metrics.json"],
    }  # fmt: skip


def _report(table: str, cells: list[Cell]) -> dict[str, Any]:
    names = ("search.json", "history.csv", "metrics.json")
    return {
        "wdir": "../..",
        "cmd": f"python -m stages.report {table}",
        "deps": [f"{paths.cell_dir(cell.id)}/{name}" for cell in cells for name in names],
        "params": [{f"{PIPELINES}/{table}/cells.json": ["table"]}, {str(CODE): ["report"]}],
        "outs": [str(paths.table_dir(table))],
    }


def update(params: Params) -> list[Path]:
    """Write the files that differ and remove those of tables that are gone; returns what changed."""
    files = pipeline_files(params)
    changed = [path for path, content in files.items() if not path.is_file() or path.read_text() != content]
    for path in changed:
        write_text(path, files[path])
    gone = [path for path in PIPELINES.glob("*/*") if path.name in ("cells.json", "dvc.yaml") and path not in files]
    for path in gone:
        path.unlink()
    return changed + gone


def check_targets(params: Params) -> None:
    """Every table must be a target in the root dvc.yaml.

    Raises:
        BenchError: with the lines to add.
    """
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    for table in params.tables:
        if table not in stages:
            out = paths.table_dir(table)
            raise BenchError(
                f"table {table} is no target yet; add to the stages of dvc.yaml:\n"
                f"  {table}:\n    cmd: cat {out}/table.md\n    deps: [{out}]"
            )


def _yaml(content: dict[str, Any]) -> str:
    yaml, out = YAML(), StringIO()
    yaml.width = 4096
    yaml.dump(content, out)
    return out.getvalue()


def main() -> None:
    """Bring the pipelines up to date; as a DVC stage (`--check`) also write code.json, or ask to run again."""
    params = load_params(paths.PARAMS)
    check_targets(params)
    changed = update(params)
    if "--check" not in sys.argv:
        print(f"pipelines: {len(changed)} files changed" if changed else "pipelines: up to date")
        return
    if changed:
        raise BenchError("params.yaml had changed; pipelines/ now follows it: run the same command again")
    code = {stage: code_digest(f"slt_bench.{module}") for stage, module in _MODULES.items()}
    write_text(CODE, json.dumps(code, indent=1) + "\n")


_MODULES = {"prepare": "data.beton", "search": "search", "evaluate": "evaluate", "report": "report.figures"}

if __name__ == "__main__":
    run_command(main)
