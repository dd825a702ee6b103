"""Read params.yaml; every mistake in it becomes one line that names path, line, value and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from slt_bench.cell import Cell
from slt_bench.cells import expand_row
from slt_bench.errors import BenchError
from slt_bench.feasibility import Infeasible, Location, did_you_mean
from slt_bench.pairs import pairs
from slt_bench.params import Params, Side, Table
from slt_bench.published import published_values


def load_params(path: Path) -> Params:
    """Parse, validate and expand; YAML 1.2, so that `1e-4` is a number.

    Raises:
        BenchError: listing all mistakes, one a line.
    """
    if not path.is_file():
        raise BenchError(f"{path} is missing: run the command in the root of the project")
    try:
        document = YAML().load(path)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        raise BenchError(f"{path}:{mark.line + 1 if mark else '?'}: not valid YAML: {error.problem}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from error
    if document is None:
        raise BenchError(f"{path} is empty")
    try:
        params = Params.model_validate(plain(document))
    except ValidationError as error:
        raise BenchError("\n".join(_describe(path, document, dict(each)) for each in error.errors())) from error
    problems = list(_infeasible(params))
    if problems:
        raise BenchError("\n".join(_line(path, document, problem.location, str(problem)) for problem in problems))
    return params


def schema() -> str:
    """JSON schema of params.yaml, for editors."""
    return json.dumps(Params.model_json_schema(), indent=1) + "\n"


def plain(node: Any) -> Any:
    """ruamel's round-trip types as plain Python."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _infeasible(params: Params) -> list[Infeasible]:
    problems: list[Infeasible] = []
    for name, table in params.tables.items():
        rows: dict[str, list[Cell]] = {}
        for index, row in enumerate(table.rows):
            place: Location = ("tables", name, "rows", index)
            if row.id in rows:
                problems.append(Infeasible((*place, "id"), f"'{row.id}' is the id of another row too"))
            try:
                rows[row.id or str(index)] = expand_row(params, name, index)
                problems += _misplaced(row.published, rows[row.id or str(index)], (*place, "published"), table)
            except Infeasible as problem:
                problems.append(problem)
        if len(rows) == len(table.rows):
            problems += [
                problem
                for claim in table.claims
                for problem in _claim_problems(table, claim, rows, ("tables", name, "claims", claim))
            ]
    for each in problems:  # in a table that `small` makes, the mistake is there
        if params.tables[str(each.location[1])].reduced is not None:
            each.location = ("small", str(each.location[1]).removesuffix("-small"))
    return list({(problem.location[:2], str(problem)): problem for problem in reversed(problems)}.values())[::-1]


def _misplaced(names: list[str] | None, cells: list[Cell], place: Location, table: Table) -> Iterator[Infeasible]:
    """A published value may stand only beside cells of its dataset, network and sparsity, and in small tables beside theirs."""
    known = published_values()
    for name in names or []:
        if name not in known:
            yield Infeasible(place, f"'{name}' is not a known value{did_you_mean(name, known)}")
        elif table.reduced is None and not any(known[name].fits_cell(cell) for cell in cells):
            value = known[name]
            kinds = {f"{cell.network.kind} on {cell.dataset.images.source} at {cell.sparsity:g}" for cell in cells}
            what = f"{value.network or 'a network'} on {value.dataset}"
            what += f" at {value.sparsity:g}" if value.sparsity is not None else ""
            yield Infeasible(place, f"'{name}' is of {what}, this row is of {', '.join(sorted(kinds))}")


def _claim_problems(table: Table, name: str, rows: dict[str, list[Cell]], place: Location) -> Iterator[Infeasible]:
    claim, found = table.claims[name], list[Side]()
    for side, chosen in (("of", claim.of), ("over", claim.over)):
        if chosen.row not in rows:
            ids = [row.id for row in table.rows if row.id]
            yield Infeasible((*place, side, "row"), f"there is no row '{chosen.row}'{did_you_mean(chosen.row, ids)}")
        elif chosen.sparsity is not None and all(cell.sparsity != chosen.sparsity for cell in rows[chosen.row]):
            yield Infeasible((*place, side, "sparsity"), f"row {chosen.row} has no sparsity {chosen.sparsity:g}")
        else:
            found.append(chosen)
    if claim.of.row in rows:
        yield from _misplaced(claim.published, rows[claim.of.row], (*place, "published"), table)
    settings = [list({cell.setting: cell for cell in rows[side.row]}.values()) for side in found]
    if len(found) == 2 and not pairs(table, claim, *settings):
        what = "dataset, network, recipe, freezing ratio and sparsity (or free_kept, where both rows give it)"
        yield Infeasible(place, f"no cell of row {claim.of.row} agrees with just one of row {claim.over.row} in {what}")


def _describe(path: Path, document: Any, error: dict[str, Any]) -> str:
    location: Location = error["loc"]
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    if error["type"] == "extra_forbidden":
        valid = _keys_at(location[:-1])
        message = f"unknown key{did_you_mean(str(location[-1]), valid)} (allowed: {', '.join(valid)})"
    elif error["type"] == "missing":
        message = "is missing"
    elif not isinstance(error["input"], dict | list):
        message = f"{message}, got {error['input']!r}"
    return _line(path, document, location, message, missing=error["type"] == "missing")


def _line(path: Path, document: Any, location: Location, message: str, missing: bool = False) -> str:
    """`params.yaml:12: recipes.quick.momentum: message`; parts that the file does not have (union tags) are left out."""
    node, line, shown = document, 0, ""
    for part in location:
        found = (isinstance(node, dict) and part in node) or (isinstance(node, list) and isinstance(part, int))
        if found:
            places = node.lc
            line = (places.key(part) if isinstance(node, dict) else places.item(part))[0]
            node = node[part]
        if found or (missing and part == location[-1]):
            shown += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{path}:{line + 1}: {shown.lstrip('.') or 'top level'}: {message}"


def _keys_at(location: Location) -> list[str]:
    """The keys that the schema allows at a place."""
    root = Params.model_json_schema()
    nodes = [root]
    for part in location:
        nodes = [step for node in nodes for step in _steps(root, node, part)]
    return sorted({key for node in nodes for each in _choices(root, node) for key in each.get("properties", {})})


def _steps(root: dict[str, Any], node: dict[str, Any], part: str | int) -> list[dict[str, Any]]:
    steps = []
    for choice in _choices(root, node):
        if part in choice.get("properties", {}):
            steps.append(choice["properties"][part])
        elif isinstance(part, int) and "items" in choice:
            steps.append(choice["items"])
        elif choice.get("properties", {}).get("kind", {}).get("const") == part:  # the tag of a union
            steps.append(choice)
        for extra in (choice.get("additionalProperties"), *choice.get("patternProperties", {}).values()):
            if isinstance(extra, dict):
                steps.append(extra)
    return steps


def _choices(root: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in node:
        return _choices(root, root["$defs"][node["$ref"].rsplit("/", 1)[1]])
    branches = node.get("anyOf", []) + node.get("oneOf", [])
    return [choice for branch in branches for choice in _choices(root, branch)] if branches else [node]
