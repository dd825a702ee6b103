"""The identity of code: a digest of all definitions that a function reaches, in whichever module they are.

A change counts if it is in a definition that the function reaches. Comments, docstrings, layout, and the module in which a
definition is do not count: a long search does not start again because of a comment or a move.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeGuard

PACKAGE = Path(__file__).parent.parent
OF_A_CELL = ("slt_bench.search.run:search", "slt_bench.run.evaluate:evaluate")  # the functions that a cell runs

_Definition = tuple[str, str]  # module and name; the name "" stands for what a module does as it is imported


@cache
def cell_code() -> str:
    """Return the digest of the code that a cell runs, as it was at the first call in this process."""
    return code_digest(*OF_A_CELL)


def code_digest(*entries: str) -> str:
    """Return the digest of some functions and of all that they use of this package.

    Args:
        entries: functions or classes, each as `module:name`.

    Returns:
        Twelve hex digits.

    Raises:
        KeyError: a module has no such definition.
    """
    modules: dict[str, _Module] = {}
    reached: dict[_Definition, list[str]] = {}
    waiting = [(module, name) for module, _, name in (entry.partition(":") for entry in entries)]
    for module_name, name in waiting:
        if name not in _module(modules, module_name).definitions:
            raise KeyError(f"{module_name} defines no {name}")
    while waiting:
        definition = waiting.pop()
        if definition in reached:
            continue
        (module_name, name), module = definition, _module(modules, definition[0])
        if name in module.definitions:
            statements = module.definitions[name]
            waiting += [(module_name, ""), *(use for statement in statements for use in module.uses(statement))]
            reached[definition] = [ast.dump(module.normalised(statement)) for statement in statements]
        elif name in module.imports:
            waiting.append(module.imports[name])
    dumps = sorted(dump for statements in reached.values() for dump in statements)
    data = sorted(content for name in {module for module, _ in reached} for content in _module(modules, name).data())
    return hashlib.sha256("\n".join(dumps).encode() + b"\n".join(data)).hexdigest()[:12]


def _module(known: dict[str, _Module], name: str) -> _Module:
    if name not in known:
        known[name] = _Module(name)
    return known[name]


class _Module:
    """A module of this package: its definitions by name, and its imports from the package."""

    def __init__(self, name: str) -> None:
        self.name, self.path = name, _file(name)
        self.tree = ast.parse(self.path.read_text(encoding="utf-8")) if self.path else ast.Module([], [])

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """The top-level statements that bind each name; under "" those that bind none."""
        statements: dict[str, list[ast.stmt]] = {"": []}
        for statement in self.tree.body:
            for name in _bound(statement):
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
        """Read the data files that belong to the module."""
        if self.path is None:
            return []
        files = (self.path.with_suffix(suffix) for suffix in (".yaml", ".html"))
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
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.Attribute) and self.module.module_of(node) is not None:
            return ast.Name(node.attr, node.ctx)
        if isinstance(node, ast.Name) and self.module.imports.get(node.id, ("", ""))[1]:
            return ast.Name(self.module.imports[node.id][1], node.ctx)
        return self.generic_visit(node)


def _bound(statement: ast.stmt) -> list[str]:
    """List the names that a top-level statement binds: [""] if it does something else, none for imports and docstrings."""
    match statement:
        case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
            return [statement.name]
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            return sorted(names) or [""]
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return []
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return []
    return [""]


def _imports_package(node: ast.AST) -> TypeGuard[ast.ImportFrom]:
    """Whether a statement imports something from this package."""
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "slt_bench"


def _file(name: str) -> Path | None:
    """Find the source file of a module; None for a name that is no module."""
    base = PACKAGE.joinpath(*name.split(".")[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
