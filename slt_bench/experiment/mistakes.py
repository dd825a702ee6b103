"""The messages about mistakes in params.yaml: `params.yaml:12: recipes.quick.momentum: what is wrong`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pydantic import ValidationError

from slt_bench.common.text import did_you_mean
from slt_bench.common.yaml.reader import Document
from slt_bench.common.yaml.text import one_line, shown
from slt_bench.experiment.checks import Infeasible, Location
from slt_bench.params.base import NAME, Model
from slt_bench.params.networks import network_class
from slt_bench.params.searches import search_class
from slt_bench.params.tables import Params

MOST = 30  # mistakes that are listed


def invalid(document: Document, error: ValidationError) -> str:
    """Format the mistakes that the schema finds, one a line."""
    errors = error.errors(include_url=False)
    return _joined(document, [_describe(document, dict(details)) for details in errors[:MOST]], len(errors))


def infeasible(document: Document, problems: Sequence[Infeasible]) -> str:
    """Format the mistakes that the expansion to cells finds, one a line."""
    lines = [_line(document, problem.location, str(problem)) for problem in problems[:MOST]]
    return _joined(document, lines, len(problems))


def _joined(document: Document, lines: list[str], count: int) -> str:
    """Join lines; the last one says how many of `count` mistakes are not among them."""
    rest = [f"{document.path}: and {count - MOST:,} more mistakes"] if count > MOST else []
    return "\n".join(lines + rest)


def _describe(document: Document, error: dict[str, Any]) -> str:
    location: Location = error["loc"]
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    if error["type"] == "extra_forbidden":
        allowed = _keys_at(document, location[:-1])
        if location == ("small",):  # as older versions had it
            return _line(document, location, "is no key any more; a small table is one of `tables` that says `like: TABLE`")
        message = f"unknown key{did_you_mean(str(location[-1]), allowed)} (allowed: {', '.join(allowed)})"
    elif error["type"] == "missing":
        message = "is missing"
    elif error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME:
        message = f"must be of lower-case letters, digits and hyphens between them, got {_got(error['input'])}"
    elif error["type"] in ("dict_type", "model_type", "model_attributes_type"):
        message = f"must be a mapping of keys to values, got {_got(error['input'])}"
    elif error["type"].endswith("_type") or not (isinstance(error["input"], dict | list) or _names(message, error["input"])):
        message = f"{message}, got {_got(error['input'])}"
    return _line(document, _in_file(location), message, missing=error["type"] == "missing")


def _names(message: str, value: Any) -> bool:
    """Whether a message tells already which name was given."""
    return isinstance(value, str) and bool(value) and repr(value) in message


def _got(value: Any) -> str:
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else one_line(repr(value), 80)


def _in_file(location: Location) -> Location:
    """Remove the kind that pydantic adds to a location after the name of a table, of which there are two kinds."""
    return (*location[:2], *location[3:]) if location[:1] == ("tables",) else location


def _line(document: Document, location: Location, message: str, missing: bool = False) -> str:
    """Format a message with its file, line and path; parts that the file does not have are left out, except a missing key."""
    node, line, path = document.value, 1, list[str | int]()
    for part in location:
        exists = part in node if isinstance(node, dict) else isinstance(node, list) and part in range(len(node))
        if exists:
            line, node = document.line(node, part), node[part]
        if exists or (missing and part == location[-1]):
            path.append(part)
    return f"{document.path}:{line}: {shown(tuple(path))}: {one_line(message)}"


def _keys_at(document: Document, location: Location) -> list[str]:
    """List the keys that the schema allows at a location; searches and networks declare theirs."""
    classes: dict[Any, Callable[[Any], type[Model]]] = {"searches": search_class, "networks": network_class}
    if len(location) == 2 and location[0] in classes:
        return sorted(classes[location[0]](document.value[location[0]][location[1]].get("kind")).model_fields)
    root = _schema()
    nodes = [root]
    for part in location:
        nodes = [step for node in nodes for step in _steps(root, node, part)]
    return sorted({key for node in nodes for choice in _choices(root, node) for key in choice.get("properties", {})})


@cache
def _schema() -> dict[str, Any]:
    return Params.model_json_schema()


def _steps(root: dict[str, Any], node: dict[str, Any], part: str | int) -> list[dict[str, Any]]:
    """Go one part of a location down in the schema; a union can lead to several nodes."""
    steps = []
    for choice in _choices(root, node):
        if part in choice.get("properties", {}):
            steps.append(choice["properties"][part])
        elif isinstance(part, int) and "items" in choice:
            steps.append(choice["items"])
        elif part == choice.get("title"):  # the tag of a union
            steps.append(choice)
        for extra in (choice.get("additionalProperties"), *choice.get("patternProperties", {}).values()):
            if isinstance(extra, dict):
                steps.append(extra)
    return steps


def _choices(root: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    """Resolve references and unions of a schema node to the nodes that it stands for."""
    if "$ref" in node:
        return _choices(root, root["$defs"][node["$ref"].rsplit("/", 1)[1]])
    branches = node.get("anyOf", []) + node.get("oneOf", [])
    return [choice for branch in branches for choice in _choices(root, branch)] if branches else [node]
