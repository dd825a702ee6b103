"""The colours of searches and sources, in figures and in MLflow."""

from __future__ import annotations

from slt_bench.experiment.cell import Cell
from slt_bench.params.searches import Search

# Okabe and Ito's colours, which can be told apart with any colour vision.
_BLACK, _GREY, _BLUE, _VERMILION, _GREEN = "#000000", "#999999", "#0072B2", "#D55E00", "#009E73"
_SKY_BLUE, _ORANGE, _PURPLE = "#56B4E9", "#E69F00", "#CC79A7"

_BASELINES = {"weight-training": _BLACK, "random-mask": _GREY}
_SEARCHES = _BASELINES | {"edge-popup": _BLUE, "iterative-edge-popup": _VERMILION, "in the last mask": _GREEN}
_LONG_SEARCHES = {"edge-popup": _SKY_BLUE, "iterative-edge-popup": _ORANGE, "in the last mask": _PURPLE}
_SOURCES = {"dense": _BLUE, "randomly pruned": _VERMILION, "frozen": _GREEN, "from ticket": _PURPLE}


def search_colour(search: Search) -> str:
    """Choose the colour of a search; searches that train for several times the epochs have colours of their own."""
    kind = str(search.kind)
    is_long = False
    if search.kind == "edge-popup":
        is_long = search.keep is not None or search.length > 1
    elif search.kind == "iterative-edge-popup":
        is_long = search.epochs == "per_iteration"
        kind = "in the last mask" if search.space == "hard" else kind
    return (_LONG_SEARCHES if is_long else _SEARCHES)[kind]


def source_colour(cell: Cell) -> str:
    """Choose the colour of a cell by its source; the baselines are black and grey."""
    return _BASELINES.get(cell.search.kind, _SOURCES[cell.source.kind])
