"""The view in which MLflow's page compares a table's means: charts over size, sparsity and freezing ratio.

MLflow keeps views that are shared by a link in tags of the experiment, as JSON. This view is written as MLflow's page would
write it (seen with MLflow 3.17); another version that does not understand it says so and shows charts of its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slt_bench.tracking.contact import chosen_uri, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

_KEY = "means"
_CHARTS = (
    ("ticket_bytes", "test_top1"),
    ("ticket_coded_bytes", "test_top1"),
    ("sparsity", "test_top1"),
    ("freezing_ratio", "test_top1"),
    ("sparsity", "dying_edge_ratio"),
)


def share_view(client: MlflowClient, experiment_id: str) -> None:
    """Write the view into an experiment."""
    client.set_experiment_tag(experiment_id, f"mlflow.sharedViewState.{_KEY}", json.dumps(_state()))


def _comparison_link(experiment_id: str) -> str:
    """Write the address where the means of a table are compared: on the server that keeps them, else that of `mlflow ui`."""
    server = without_password(chosen_uri()).rstrip("/") if _served() else "http://127.0.0.1:5000"
    return f"{server}/#/experiments/{experiment_id}/runs?compareRunsMode=CHART&viewStateShareKey={_KEY}"


def how_to_compare(experiment_id: str) -> str:
    """Write what to do to see that comparison."""
    elsewhere = ' --backend-store-uri "$MLFLOW_TRACKING_URI"' if chosen_uri() else ""  # which `mlflow ui` does not look at
    return ("" if _served() else f"start `mlflow ui{elsewhere}`, ") + f"open {_comparison_link(experiment_id)}"


def _served() -> bool:
    return chosen_uri().startswith(("http://", "https://"))


def _state() -> dict[str, Any]:
    section = {"uuid": _KEY, "name": "Means over seeds", "display": True, "columns": 2, "cardHeight": 420}
    return {
        "searchFilter": "tags.mean LIKE '%'",
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "compareRunSections": [section | {"isReordered": False, "deleted": False, "isGenerated": False}],
        "compareRunCharts": [_chart(x, y) for x, y in _CHARTS],
    }


def _chart(x: str, y: str) -> dict[str, Any]:
    return {
        "type": "SCATTER", "uuid": f"{y}-{x}", "metricSectionId": _KEY, "displayName": f"{y} against {x}",
        "deleted": False, "isGenerated": False, "runsCountToCompare": 1000,
        "xaxis": {"key": x, "type": "METRIC"}, "yaxis": {"key": y, "type": "METRIC"},
    }  # fmt: skip
