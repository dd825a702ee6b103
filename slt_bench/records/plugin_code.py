"""The code of plug-ins: their modules whole, those beside them that they import, and what they use of this package."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from slt_bench.common.errors import BenchError
from slt_bench.common.plugins import look_in_project
from slt_bench.records.syntax import dumped


@dataclass(frozen=True)
class PluginCode:
    """What the digest of a plug-in is made of."""

    dumps: list[str] = field(default_factory=list)  # syntax trees of its modules, without comments and docstrings
    uses: set[tuple[str, str]] = field(default_factory=set)  # modules of this package, and names in them; "" stands for all


def plugin_code(modules: Iterable[str]) -> PluginCode:
    """Collect the code of plug-ins.

    A module that one imports counts too, if it is of the same package as the plug-in or lies in the project's directory. Other
    libraries do not count.

    Args:
        modules: names of the modules.

    Raises:
        BenchError: a module is not there, or its source cannot be read.
    """
    code, seen, waiting = PluginCode(), set[str](), list(modules)
    packages = {name.partition(".")[0] for name in waiting}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _source(name)
        if path is None:
            raise BenchError(f"the plug-in {name} is not there, or is no Python file: no source of this name is found")
        tree = _parsed(name, path)
        for module, imported in _imports(tree, name, path.name == "__init__.py"):
            if module.partition(".")[0] == "slt_bench":
                code.uses.add((module, imported))
            else:
                candidates = {*_parents(module), f"{module}.{imported}" if imported else module}
                waiting += [one for one in candidates if _counts(one, packages)]
        waiting += [parent for parent in _parents(name) if _source(parent)]
        code.dumps.append(dumped(_without_docstrings(tree)))
    return code


def _parsed(name: str, path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError) as error:
        raise BenchError(f"the plug-in {name} cannot be read: {type(error).__name__}: {error}") from None


def _parents(name: str) -> list[str]:
    """List a module and the packages that it is in: a.b.c, a.b, a."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _imports(tree: ast.Module, name: str, is_package: bool) -> Iterator[tuple[str, str]]:
    """Yield what a module imports, as module and name; the name is empty where a module is imported whole."""
    package = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((module, "" if alias.name == "*" else alias.name) for alias in node.names)


def _counts(name: str, packages: set[str]) -> bool:
    """Whether a module is one of the plug-in's own, or lies in the project's directory."""
    path = _source(name)
    if path is None:
        return False
    is_in_project = path.is_relative_to(Path.cwd()) and "site-packages" not in path.parts
    return is_in_project or name.partition(".")[0] in packages


def _source(name: str) -> Path | None:
    """Find the Python source of a module; None for what is no such module."""
    look_in_project()
    try:
        spec = find_spec(name)
    except Exception:  # whatever a foreign package does while it is imported, which this may do
        return None
    origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree
