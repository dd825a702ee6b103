"""What is kept in results/ follows from the values of the cells that are kept beside it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from slt_bench.params.claims import Claim, Side
from slt_bench.report.verdicts.claims import measure_effect
from slt_bench.report.verdicts.statistics import mean_and_deviation

KEPT = sorted(Path(__file__).parents[2].glob("results/*/cells.csv"))
ROW = Side(row="any")


def cells_of(path: Path) -> dict[str, list[dict[str, str]]]:
    """The cells that have a result and that a line shows, by their settings."""
    found: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["shown"] == "True":
                found.setdefault(row["setting"], []).extend([row] if row["state"] in ("done", "stale") else [])
    return found


def column(metric: str) -> str:
    return "seconds_an_epoch" if metric == "epoch_seconds" else metric


def check(path: Path) -> int:
    """Compute everything again; returns how many claims there were."""
    cells = cells_of(path)
    text = path.with_name("table.md").read_text(encoding="utf-8")
    for rows in cells.values():
        if rows:
            assert mean_and_deviation([float(row["top1"]) for row in rows]) in text, rows[0]["setting"]
    claims = json.loads(path.with_name("made.json").read_text(encoding="utf-8"))["claims"]
    for kept in claims:
        source: dict[str, Any] = kept["computed from"]
        claim = Claim(text=kept["claim"], of=ROW, over=ROW, **source["claim"])
        name = column(claim.metric)
        sides = [{row["seed"]: float(row[name]) for row in cells[source[side]] if row[name]} for side in ("of", "over")]
        both = sorted((seed for seed in sides[0] if seed in sides[1]), key=int)
        seeds = [str(seed) for seed in source["seeds"]] if "seeds" in source else both[: source["n"]]
        if source.get("before the first look"):
            assert kept["verdict"] == "undecided" and "[" not in kept["effect"], kept
            continue
        effect = measure_effect(
            claim, *([side[seed] for seed in seeds] for side in sides), source["selected from"], source["published"]
        )
        assert effect.verdict == kept["verdict"], kept
        if effect.size is not None:
            digits = 4 if claim.metric == "dying_edge_ratio" else 2
            assert kept["effect"].startswith(f"{effect.size:.{digits}f}"), kept
            assert effect.low is None or f"[{effect.low:.{digits}f}, {effect.high:.{digits}f}]" in kept["effect"], kept
    return len(claims)


@pytest.mark.parametrize("path", KEPT, ids=[path.parent.name for path in KEPT])
def test_means_intervals_and_verdicts_follow_from_the_cells(path: Path) -> None:
    check(path)


def test_a_changed_value_is_noticed(tmp_path: Path) -> None:
    """The check above can fail."""
    if not KEPT:
        pytest.skip("no table with the values of its cells is kept yet")
    source = KEPT[0].parent
    for name in ("cells.csv", "table.md", "made.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    with (tmp_path / "cells.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[0]["top1"] = str(float(rows[0]["top1"]) + 30)
    with (tmp_path / "cells.csv").open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(AssertionError):
        check(tmp_path / "cells.csv")
