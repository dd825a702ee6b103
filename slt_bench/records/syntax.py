"""Syntax trees as a digest takes them."""

from __future__ import annotations

import ast
import sys
from typing import Any


def dumped(node: ast.AST) -> str:
    """Write a syntax tree in the same way in all versions of Python.

    Python 3.12 adds the parameters of generic functions and classes, empty where there are none; 3.13 leaves out all that is
    empty if it is not asked to show it.
    """
    options: dict[str, Any] = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(node, **options).replace(", type_params=[]", "")


def bound(statement: ast.stmt) -> list[str]:
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
