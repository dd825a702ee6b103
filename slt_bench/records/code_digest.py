"""The identity of code: a digest of all definitions that a function reaches, in whichever module they are.

A change counts if it is in a definition that the function reaches. Comments, docstrings, layout, the module in which a
definition is, and how a search is shown (its label and colour) do not count: a long search does not start again because of a
comment or a move. Of a plug-in, which stands outside this package, all modules count whole (`plugin_code`).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeGuard

from slt_bench.experiment.cell import Cell
from slt_bench.records.plugin_code import plugin_code
from slt_bench.records.syntax import bound, dumped

PACKAGE = Path(__file__).parent.parent
OF_A_CELL = ("slt_bench.search.run:search", "slt_bench.run.evaluate:evaluate")  # the functions that a cell runs

_OF_DIGESTS = tuple(f"slt_bench.records.{name}" for name in ("code_digest", "plugin_code", "syntax"))  # change no result
_SHOWN = ("label", "colour", "name", "hue")  # properties and class variables of a search that change no result

_Definition = tuple[str, str]  # module and name; the name "" stands for what a module does as it is imported


def cell_code(cell: Cell) -> str:
    """Return the digest of the code that a cell runs, as it was at the first call for its kind in this process."""
    return kind_code(cell.code)


@cache
def kind_code(entries: tuple[str, ...]) -> str:
    """Return the digest of the code of a kind of cell, as it was at the first call in this process.

    Args:
        entries: what the kind runs beside what all cells run, as `Cell.code` names it.
    """
    return code_digest(*OF_A_CELL, *entries)


def code_digest(*entries: str) -> str:
    """Return the digest of some functions and of all that they use of this package.

    Args:
        entries: functions or classes, each as `module:name`; of a plug-in all of its modules are taken.

    Returns:
        Twelve hex digits.

    Raises:
        KeyError: a module has no such definition.
        BenchError: a module of a plug-in is not there.
    """
    reached: dict[_Definition, tuple[str, ...]] = {}
    waiting = [(module, name) for module, _, name in (entry.partition(":") for entry in entries if _is_ours(entry))]
    for module_name, name in waiting:
        if name not in _module(module_name).definitions:
            raise KeyError(f"{module_name} defines no {name}")
    foreign = plugin_code(entry.partition(":")[0] for entry in entries if not _is_ours(entry))
    waiting += [definition for module, name in foreign.uses for definition in _used(module, name)]
    while waiting:
        definition = waiting.pop()
        if definition in reached or definition[0] in _OF_DIGESTS:
            continue
        (module_name, name), module = definition, _module(definition[0])
        if name in module.definitions:
            reached[definition], used = module.definition(name)
            waiting += [(module_name, ""), *used]
        elif name in module.imports:
            waiting.append(module.imports[name])
    dumps = sorted([dump for statements in reached.values() for dump in statements] + foreign.dumps)
    data = sorted(content for name in {module for module, _ in reached} for content in _module(name).data())
    return hashlib.sha256("\n".join(dumps).encode() + b"\n".join(data)).hexdigest()[:12]


def _used(module: str, name: str) -> list[_Definition]:
    """List what a plug-in takes of this package by one import: a definition, or all of a module that is imported whole."""
    inner = f"{module}.{name}" if name else module
    if _file(inner) is None:
        return [(module, name)]
    return [(inner, one) for one in (*_module(inner).definitions, *_module(inner).imports)]


def _is_ours(entry: str) -> bool:
    return entry.partition(".")[0] == "slt_bench"


def _module(name: str) -> _Module:
    path = _file(name)
    stat = path.stat() if path else None
    return _parsed(name, path, stat and stat.st_mtime_ns, stat and stat.st_size)


@lru_cache(maxsize=1000)
def _parsed(name: str, path: Path | None, _changed: int | None, _size: int | None) -> _Module:
    return _Module(name, path)


class _Module:
    """A module of this package: its definitions by name, and its imports from the package."""

    def __init__(self, name: str, path: Path | None) -> None:
        self.name, self.path = name, path
        self.tree = ast.parse(self.path.read_text(encoding="utf-8")) if self.path else ast.Module([], [])
        self._found: dict[str, tuple[tuple[str, ...], list[_Definition]]] = {}

    def definition(self, name: str) -> tuple[tuple[str, ...], list[_Definition]]:
        """Return the normalised statements that bind a name, and the definitions that they use."""
        if name not in self._found:
            statements = self.definitions[name]
            used = [use for statement in statements for use in self.uses(statement)]
            self._found[name] = tuple(dumped(self.normalised(statement)) for statement in statements), used
        return self._found[name]

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """The top-level statements that bind each name; under "" those that bind none."""
        statements: dict[str, list[ast.stmt]] = {"": []}
        for statement in self.tree.body:
            for name in bound(statement):
                statements.setdefault(name, []).append(statement)
        return statements

    @cached_property
    def imports(self) -> dict[str, _Definition]:
        """The imports from this package, by local name; an imported module is the definition of name "" in it."""
        definitions: dict[str, _Definition] = {}
        for node in ast.walk(self.tree):
            if _imports_package(node):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    definition = (inner, "") if _file(inner) else (node.module or "", alias.name)
                    definitions[alias.asname or alias.name] = definition
        return definitions

    def uses(self, statement: ast.stmt) -> Iterator[_Definition]:
        """Yield the definitions that a statement names, of this module and of others."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                if node.id in self.definitions:
                    yield self.name, node.id
                elif node.id in self.imports:
                    yield self.imports[node.id]
            elif (module := self.module_of(node)) is not None and isinstance(node, ast.Attribute):
                yield module, node.attr

    def normalised(self, statement: ast.stmt) -> ast.AST:
        """Strip docstrings, imports from this package, and the names of modules and aliases; this changes the statement."""
        return _Normaliser(self).visit(statement)

    def data(self) -> list[bytes]:
        """Read the data files that belong to the module; a page with all that lie beside it, of which it may be made."""
        if self.path is None:
            return []
        files = [self.path.with_suffix(suffix) for suffix in (".yaml", ".html")]
        if files[-1].is_file():
            files[-1:] = sorted(self.path.parent.glob("*.html"))
        return [file.read_bytes() for file in files if file.is_file()]

    def module_of(self, node: ast.AST) -> str | None:
        """Return the module of this package whose attribute an expression takes; None if it takes none."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = self.imports.get(node.value.id, ("", "-"))
            return module if not name else None
        return None


class _Normaliser(ast.NodeTransformer):
    def __init__(self, module: _Module) -> None:
        self.module = module

    def visit(self, node: ast.AST) -> Any:
        if _imports_package(node):
            return ast.Pass()
        if isinstance(node, ast.ClassDef):
            node.body = [part for part in node.body if not _is_shown(part)] or [ast.Pass()]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.Attribute) and self.module.module_of(node) is not None:
            return ast.Name(node.attr, node.ctx)
        if isinstance(node, ast.Name) and self.module.imports.get(node.id, ("", ""))[1]:
            return ast.Name(self.module.imports[node.id][1], node.ctx)
        return self.generic_visit(node)


def _is_shown(part: ast.stmt) -> bool:
    """Whether a part of a class is a property or class variable of `_SHOWN`."""
    if isinstance(part, ast.FunctionDef):
        return part.name in _SHOWN and any(isinstance(mark, ast.Name) and mark.id == "property" for mark in part.decorator_list)
    if not isinstance(part, ast.AnnAssign) or "ClassVar" not in ast.dump(part.annotation):
        return False
    return isinstance(part.target, ast.Name) and part.target.id in _SHOWN


def _imports_package(node: ast.AST) -> TypeGuard[ast.ImportFrom]:
    """Whether a statement imports something from this package."""
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "slt_bench"


def _file(name: str) -> Path | None:
    """Find the source file of a module; None for a name that is no module."""
    base = PACKAGE.joinpath(*name.split(".")[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
