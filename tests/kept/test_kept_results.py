"""What is kept in results/ follows from the values of the cells that are kept beside it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from slt_bench.experiment.load import load_experiments
from slt_bench.kept import archive
from slt_bench.params.claims import Claim, Side
from slt_bench.report.verdicts.claims import EXPLORATORY, measure_effect
from slt_bench.report.verdicts.statistics import UNKNOWN, mean_and_deviation

ROOT = Path(__file__).parents[2]
EXPERIMENTS = load_experiments(ROOT / "params.yaml")
KEPT = sorted(ROOT.glob("results/*/cells.csv"), key=lambda path: path.parent.name != "evidence-fashion-mnist")
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
    cells, made = cells_of(path), json.loads(path.with_name("made.json").read_text(encoding="utf-8"))
    shown = [line.split("|") for line in path.with_name("table.md").read_text(encoding="utf-8").splitlines()]
    for line in made["lines"]:
        check_line(line["row"], cells[line["setting"]])
        assert list(line["row"].values()) in [[cell.strip() for cell in row[1:-1]] for row in shown], line
    check_means(path.with_name("table.csv"), cells)
    claims = made["claims"]
    for kept in claims:
        row = [text for name, text in kept.items() if name != "computed from"]
        assert row in [[cell.strip() for cell in each[1:-1]] for each in shown], kept
        source: dict[str, Any] = kept["computed from"]
        claim = Claim(text=kept["claim"], of=ROW, over=ROW, **source["claim"])
        name = column(claim.metric)
        sides = [{row["seed"]: float(row[name]) for row in cells[source[side]] if row[name]} for side in ("of", "over")]
        both = sorted((seed for seed in sides[0] if seed in sides[1]), key=int)
        check_looks(path.parent.name, kept, [int(seed) for seed in both])
        seeds = [str(seed) for seed in source["seeds"]] if "seeds" in source else both[: source["n"]]
        if source.get("before the first look"):
            assert kept["verdict"].endswith("undecided") and "[" not in kept["effect"], kept
            continue
        of, over = ([side[seed] for seed in seeds] for side in sides)
        effect = measure_effect(claim, of, over, source["selected from"], source["published"])
        assert effect.verdict == kept["verdict"].removeprefix(f"{EXPLORATORY}: "), kept
        if effect.size is not None:
            digits = 4 if claim.metric == "dying_edge_ratio" else 2
            assert kept["effect"].startswith(f"{effect.size:.{digits}f}"), kept
            assert effect.low is None or f"[{effect.low:.{digits}f}, {effect.high:.{digits}f}]" in kept["effect"], kept
    return len(claims)


def check_means(table: Path, cells: dict[str, list[dict[str, str]]]) -> None:
    """Compare the means of table.csv with the values of the cells."""
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name in ("top1", "last_top1", "bytes"):
                values = [float(cell[name]) for cell in cells[row["setting"]] if cell[name]]
                assert (row[f"{name}_mean"] or None) == (str(mean(values)) if values else None), (row["setting"], name)


def check_line(shown: dict[str, str], rows: list[dict[str, str]]) -> None:
    """Compare what is shown of a line with the values of its cells."""

    def values(name: str) -> list[float]:
        return [float(row[name]) for row in rows if row[name]]

    if not rows:
        assert shown["test top-1 (%)"] == UNKNOWN
        return
    assert shown["test top-1 (%)"] == mean_and_deviation(values("top1")), shown
    assert shown["last epoch (%)"] == mean_and_deviation(values("last_top1")), shown
    assert int(shown["n"].split()[0]) == len(rows), shown
    assert shown["file (bytes)"] == f"{mean(values('bytes')):,.0f}", shown
    if (coded := shown.get("coded file", UNKNOWN)) != UNKNOWN:
        assert coded == f"{mean(values('coded_bytes')):,.0f}", shown
    if shown["dying edges"] != UNKNOWN:
        assert shown["dying edges"] == f"{mean(values('dying_edge_ratio')):.4f}", shown


def check_looks(table: str, kept: dict[str, Any], both: list[int]) -> None:
    """Compare the seeds and the share of the error of a claim with what params.yaml says of it, as far as it still does."""
    source = kept["computed from"]
    declared = EXPERIMENTS.tables[table].table
    claim = next((claim for claim in declared.claims.values() if claim.text == kept["claim"]), None)
    if claim is None or claim.across == "most" or f"of {claim.looks})" not in kept["n"]:
        return
    assert source["selected from"] == claim.looks, kept
    sizes = claim.sizes_of_looks(len(declared.seeds))
    order = [seed for seed in declared.seed_order(claim.most_seeds(len(declared.seeds))) if seed in both]
    assert source["seeds"] == order[: len(source["seeds"])] and len(source["seeds"]) in sizes, kept


@pytest.mark.parametrize("path", KEPT, ids=[path.parent.name for path in KEPT])
def test_means_intervals_and_verdicts_follow_from_the_cells(path: Path) -> None:
    check(path)


def test_the_lists_say_what_the_tables_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").mkdir()
    for folder in {path.parent for path in ROOT.glob("results/*/made.json")}:
        (tmp_path / "results" / folder.name).symlink_to(folder)
    shutil.copy(ROOT / "README.md", tmp_path / "README.md")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(archive, "draw_claims", lambda *_: True)  # the picture has a test of its own
    archive.list_archived(EXPERIMENTS)
    for name in ("README.md", "results/README.md"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8"), name


def a_copy(folder: Path) -> Path:
    """The files of a kept table, in a folder of its name."""
    folder = folder / KEPT[0].parent.name
    folder.mkdir()
    for name in ("cells.csv", "table.md", "table.csv", "made.json"):
        (folder / name).write_bytes((KEPT[0].with_name(name)).read_bytes())
    return folder / "cells.csv"


def test_a_changed_claim_is_noticed(tmp_path: Path) -> None:
    cells = a_copy(tmp_path)
    assert check(cells)
    table = cells.with_name("table.md")
    table.write_text(re.sub(r"\| (holds|undecided) +\|$", "| does not hold |", table.read_text(), count=1, flags=re.MULTILINE))
    with pytest.raises(AssertionError):
        check(cells)


def test_a_changed_value_is_noticed(tmp_path: Path) -> None:
    """The check above can fail."""
    path = a_copy(tmp_path)
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[0]["top1"] = str(float(rows[0]["top1"]) + 30)
    with path.open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(AssertionError):
        check(path)
