"""Names that are nearly those of the contract: a hook that nobody calls is a search that does something else."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from inspect import isfunction

_ALIKE = 0.8  # of 1, as difflib measures it


def misspelled(own: type, base: type) -> Iterator[str]:
    """Find methods of a class that are none of its base's, and have nearly the name of one that the class lacks.

    Args:
        own: somebody's class.
        base: what the contract has.

    Yields:
        A sentence for each.
    """
    known = [name for name in vars(base) if isfunction(vars(base)[name]) and not name.startswith("_")]
    written = [
        name for each in own.__mro__ if not issubclass(base, each) for name in vars(each) if isfunction(vars(each)[name])
    ]
    for name in written:
        if name not in known and not name.startswith("_"):
            near = get_close_matches(name, [other for other in known if other not in written], 1, _ALIKE)
            if near:
                yield f"{own.__name__}.{name} is no part of the contract, and nobody calls it; did you mean {near[0]}?"
