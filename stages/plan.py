"""plan: params.yaml -> pipelines/data, pipelines/cells/GROUP, pipelines/tables/TABLE and pipelines/code.json.

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

from slt_bench.common import paths
from slt_bench.common.errors import BenchError, run_command
from slt_bench.common.files import write_text
from slt_bench.common.yaml.reader import read_yaml
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.grid import expand, find
from slt_bench.experiment.load import load_params
from slt_bench.params.tables import Params
from slt_bench.records.code_digest import OF_A_CELL, code_digest

PIPELINES = Path("pipelines")
CODE = PIPELINES / "code.json"
_HEADER = "# Generated from params.yaml by `python -m stages.plan`: do not edit.\n"


def pipeline_files(params: Params) -> dict[Path, str]:
    """Path -> content of every generated file: datasets, cells by dataset and network, and a report for each table."""
    files: dict[Path, str] = {}
    groups: dict[str, dict[str, Cell]] = {}
    for table in params.tables:
        cells = expand(params, table)
        for cell in cells:
            groups.setdefault(_group(cell), {})[cell.id] = cell
        directory = PIPELINES / "tables" / table
        files[directory / "table.json"] = _json(params.tables[table].model_dump(mode="json"))
        files[directory / "dvc.yaml"] = _HEADER + _yaml(_table_pipeline(table, cells))
    for group, found in groups.items():
        directory = PIPELINES / "cells" / group
        kinds: dict[str, list[Cell]] = {"cells": [], "heirs": []}  # heirs: roles from another cell's ticket
        for key in sorted(found):  # whichever table names a cell first
            kinds["heirs" if found[key].source.ticket else "cells"].append(found[key])
        there = {kind: members for kind, members in kinds.items() if members}
        files[directory / "cells.json"] = _json(
            {kind: {cell.id: cell.identity for cell in members} for kind, members in there.items()}
        )
        stages = {kind[:-1]: _cells(group, kind, members) for kind, members in there.items()}
        metrics = [f"../../../{paths.cell_dir(key)}/metrics.json" for key in sorted(found)]
        files[directory / "dvc.yaml"] = _HEADER + _yaml({"stages": stages, "metrics": metrics})
    stages = {f"prepare-{name}": _prepare(name) for name in params.datasets}
    files[PIPELINES / "data" / "datasets" / "dvc.yaml"] = _HEADER + _yaml({"stages": stages})
    return files


def _group(cell: Cell) -> str:
    """The directory of its pipeline: DVC rewrites a whole lock for each stage that ran, so that they must stay short."""
    return "_".join((cell.dataset_name, cell.network_name, cell.source.kind.replace(" ", "-"), cell.search_name))


def planned_cell(params: Params, group: str, cell_id: str) -> Cell:
    """A cell of params.yaml, if it is the one that DVC has taken note of.

    Raises:
        BenchError: it is not.
    """
    cell, path = find(params, cell_id), PIPELINES / "cells" / group / "cells.json"
    kinds = json.loads(path.read_text(encoding="utf-8")).values()
    identities = {key: identity for kind in kinds for key, identity in kind.items()}
    if identities.get(cell_id) != cell.identity:
        raise BenchError(f"params.yaml has another '{cell_id}' than {path}: run `python -m stages.plan`, then the same again")
    return cell


def _prepare(dataset: str) -> dict[str, Any]:
    names = ("train.beton", "test.beton", "manifest.json", "origin.txt")
    return {
        "wdir": "../../..",
        "cmd": f"python -m stages.prepare {dataset}",
        "params": [{str(paths.PARAMS): [f"datasets.{dataset}.images"]}, {str(CODE): ["prepare"]}],
        "outs": [str(paths.dataset_dir(dataset) / name) for name in names],
    }


def _cells(group: str, kind: str, cells: list[Cell]) -> dict[str, Any]:
    """The stages `cell@ID` or `heir@ID`; DVC would take longer to read what it needs from cells.json."""
    each = {cell.id: {"dataset": cell.dataset_name, "ticket": cell.source.ticket} for cell in cells}
    heir, directory = kind == "heirs", str(paths.cell_dir("${key}"))
    dataset = "${item.dataset}" if heir else "${item}"
    ticket = [str(paths.cell_dir("${item.ticket}") / "search.json")] if heir else []  # a search that diverged has no other file
    stage = {
        "wdir": "../../..",
        "cmd": f"python -m stages.cell {group} ${{key}}",
        "deps": [f"{paths.dataset_dir(dataset)}/manifest.json", *ticket],
        "params": [{f"{PIPELINES}/cells/{group}/cells.json": [f"{kind}.${{key}}"]}, {str(CODE): ["cell"]}],
        "outs": [directory],  # whole: a search that diverged leaves other files than one that found a ticket
    }
    return {"foreach": each if heir else {cell.id: cell.dataset_name for cell in cells}, "do": stage}


def _table_pipeline(table: str, cells: list[Cell]) -> dict[str, Any]:
    report = {
        "wdir": "../../..",
        "cmd": f"python -m stages.report {table}",
        # Of each cell one file: none of the others can change without it, and DVC's time goes by their number.
        "deps": [f"{PIPELINES}/tables/{table}/table.json", "slt_bench/report/page.html"]
        + [f"{paths.cell_dir(cell.id)}/search.json" for cell in cells],
        "params": [{str(CODE): ["report"]}],
        "outs": [str(paths.table_dir(table))],
    }
    figures = [f"../../../{paths.table_dir(table)}/figures/{name}.png" for name in ("accuracy-size", "accuracy-sparsity")]
    curves = {f"../../../{paths.cell_dir(cell.id)}/history.csv": "val_top1" for cell in cells}
    plots = [*figures, {f"{table}: validation accuracy": {"x": "epoch", "y": curves}}]
    return {"stages": {"report": report}, "plots": plots}


def update(params: Params) -> list[Path]:
    """Write the files that differ and remove those of tables that are gone; returns what changed."""
    files = pipeline_files(params)
    changed = [path for path, content in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != content]
    for path in changed:
        write_text(path, files[path])
    written = ("cells.json", "table.json", "dvc.yaml")
    gone = [path for path in PIPELINES.glob("*/*/*") if path.name in written and path not in files]
    for path in gone:
        path.unlink()
    return changed + gone


def check_targets(params: Params) -> None:
    """Every table must be a target in the root dvc.yaml.

    Raises:
        BenchError: with the lines to add.
    """
    document = read_yaml(Path("dvc.yaml")).value
    stages = document.get("stages") if isinstance(document, dict) else None
    if not isinstance(stages, dict):
        raise BenchError("dvc.yaml has no stages: restore it from the repository")
    everything = stages.get("everything")
    page = everything.get("deps") if isinstance(everything, dict) else None
    for table in params.tables:
        out = str(paths.table_dir(table))
        if table not in stages:
            raise BenchError(
                f"table {table} is no target yet; add to the stages of dvc.yaml:\n"
                f"  {table}:\n    cmd: cat {out}/table.md\n    deps: [{out}]"
            )
        if page is not None and out not in page:
            raise BenchError(f"table {table} is not on the page of all tables: add {out} to the deps of everything in dvc.yaml")


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"


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
    write_text(CODE, _json({stage: code_digest(*entries) for stage, entries in ENTRIES.items()}))


ENTRIES = {  # the functions that each stage calls
    "prepare": ["slt_bench.data.prepare:prepare"],
    "cell": list(OF_A_CELL),
    "report": ["slt_bench.run.tasks:report_table", "slt_bench.run.tasks:track_table"],
}

if __name__ == "__main__":
    run_command(main)
