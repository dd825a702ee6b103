"""Factories of networks: functions or classes of anybody's, and the options with which they can be called."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

from slt_bench.common.plugins import resolve
from slt_bench.common.text import did_you_mean

_GIVEN = ("image_size", "classes")  # what every factory is called with


def factory_of(kind: str) -> Callable[..., Any]:
    """Import a factory.

    Raises:
        ValueError: it cannot be imported, or called.
    """
    found = resolve(kind, {})
    if not callable(found):
        raise ValueError(f"'{kind}' is no factory of networks: a function or a class is needed")
    return found


def check_options(kind: str, options: dict[str, Any]) -> None:
    """Check that a factory can be called with the options.

    Raises:
        ValueError: an option is unknown or missing, or the factory takes no image size or classes.
    """
    try:
        parameters = signature(factory_of(kind)).parameters
    except TypeError as error:  # of something in C
        raise ValueError(f"'{kind}' does not say which options it takes: {error}") from None
    named = {
        name: one for name, one in parameters.items() if one.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    }
    takes_all = any(one.kind == Parameter.VAR_KEYWORD for one in parameters.values())
    allowed = [name for name in named if name not in _GIVEN]
    for name in _GIVEN:
        if name in options:
            raise ValueError(f"{name} is no option: the dataset says it")
        if name not in named and not takes_all:
            raise ValueError(f"'{kind}' takes no {name}: a factory is called with image_size, classes and its options")
    for name in options:
        if name not in named and not takes_all:
            raise ValueError(
                f"'{kind}' has no option {name}{did_you_mean(name, allowed)} (allowed: {', '.join(allowed) or 'none'})"
            )
    wanted = [name for name in allowed if named[name].default is Parameter.empty and name not in options]
    if wanted:
        raise ValueError(f"'{kind}' needs the option {wanted[0]} (allowed: {', '.join(allowed)})")
    if any(one.kind == Parameter.POSITIONAL_ONLY and one.default is Parameter.empty for one in parameters.values()):
        raise ValueError(f"'{kind}' takes an argument without a name: all are given by name")
