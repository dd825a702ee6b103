"""The parameters of the benchmark: the only description of experiments, as types that refuse to be wrong.

`params_file.py` reads params.yaml into `Params`; `cells.py` expands its tables into cells.
"""

from slt_bench.params.base import Axis, Model, Name, PositiveRgb, Ratio, Rgb, Seed
from slt_bench.params.images import Dataset, Images, View
from slt_bench.params.machine import Machine
from slt_bench.params.searches import (
    EdgePopup,
    IterativeEdgePopup,
    RandomMask,
    Search,
    Selection,
    WeightTraining,
    iterations_at,
)
from slt_bench.params.sources import Layout, Source, percent
from slt_bench.params.tables import Claim, Params, Row, Side, SourceGrid, Table, TicketOf
from slt_bench.params.training import Network, Recipe

__all__ = [
    "Axis",
    "Claim",
    "Dataset",
    "EdgePopup",
    "Images",
    "IterativeEdgePopup",
    "Layout",
    "Machine",
    "Model",
    "Name",
    "Network",
    "Params",
    "PositiveRgb",
    "RandomMask",
    "Ratio",
    "Recipe",
    "Rgb",
    "Row",
    "Search",
    "Seed",
    "Selection",
    "Side",
    "Source",
    "SourceGrid",
    "Table",
    "TicketOf",
    "View",
    "WeightTraining",
    "iterations_at",
    "percent",
]
