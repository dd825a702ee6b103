"""Read params.yaml; every mistake in it becomes one line that names path, line, value and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from slt_bench.cells import Cell, expand_row
from slt_bench.errors import BenchError
from slt_bench.feasibility import Infeasible, Location, did_you_mean
from slt_bench.params import Params
from slt_bench.published import Published, published_values


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
        for row in range(len(table.rows)):
            published, known = table.rows[row].published, published_values()
            if published is not None and published not in known:
                place: Location = ("tables", name, "rows", row, "published")
                problems.append(Infeasible(place, f"'{published}' is not a known value{did_you_mean(published, known)}"))
            try:
                cells = expand_row(params, name, row)
                if published is not None and published in known:
                    problems += _misplaced(known[published], published, cells[0], ("tables", name, "rows", row, "published"))
            except Infeasible as problem:
                problems.append(problem)
    return list({(problem.location[:2], str(problem)): problem for problem in reversed(problems)}.values())[::-1]


def _misplaced(value: Published, name: str, cell: Cell, place: Location) -> list[Infeasible]:
    """A published value may stand only beside cells of its dataset and network."""
    ours, theirs = (cell.dataset.images.source, cell.network.kind), (value.dataset, value.network)
    if ours == theirs:
        return []
    return [Infeasible(place, f"'{name}' is of {theirs[1]} on {theirs[0]}, this row is of {ours[1]} on {ours[0]}")]


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
