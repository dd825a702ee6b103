"""Names that are nearly those of the contract: a hook that nobody calls is a search that does something else."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from types import FunctionType

_ALIKE = 0.8  # of 1, as difflib measures it


def misspelled(own: type, base: type) -> Iterator[str]:
    """Find methods that have nearly the name of one of the contract's.

    Left out are those that the class uses itself, and those near a name that it has too.

    Args:
        own: somebody's class.
        base: what the contract has.

    Yields:
        A sentence for each.
    """
    known, written = _methods(base), dict[str, FunctionType]()
    for each in own.__mro__:
        if not issubclass(base, each):
            written |= _methods(each)
    used = {word for function in written.values() for word in function.__code__.co_names}
    for name in written.keys() - known.keys() - used:
        near = get_close_matches(name, [other for other in known if other not in written], 1, _ALIKE)
        if near and not name.startswith("_"):
            yield f"{own.__name__}.{name} is no part of the contract, and nobody calls it; did you mean {near[0]}?"


def _methods(own: type) -> dict[str, FunctionType]:
    return {name: thing for name, thing in vars(own).items() if isinstance(thing, FunctionType)}
