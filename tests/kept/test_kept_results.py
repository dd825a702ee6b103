"""What is kept in results/ follows from the values of the cells that are kept beside it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from math import ceil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from slt_bench.experiment.load import load_experiments
from slt_bench.kept import archive
from slt_bench.params.claims import Claim, Side
from slt_bench.report.rows import _seconds
from slt_bench.report.verdicts.claims import EXPLORATORY, measure_effect
from slt_bench.report.verdicts.statistics import UNKNOWN, mean_and_deviation

ROOT = Path(__file__).parents[2]
EXPERIMENTS = load_experiments(ROOT / "params.yaml")
KEPT = sorted(ROOT.glob("results/*/cells.csv"), key=lambda path: path.parent.name != "evidence-fashion-mnist")
MEASURED = ("top1", "top5", "loss", "last_top1", "bytes", "coded_bytes", "mask_packed_bytes", "mask_coded_bytes")
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
    assert made["hours"] == round(sum(float(row["seconds"]) for row in unique(cells)) / 3600, 2)
    frozen = frozen_edges(path.with_name("table.csv"))
    for line in made["lines"]:
        check_line(line["row"], cells[line["setting"]], frozen[line["setting"]])
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
        earlier = check_looks(path.parent.name, kept, [int(seed) for seed in both])
        seeds = [str(seed) for seed in source["seeds"]] if "seeds" in source else both[: source["n"]]
        if source.get("before the first look"):
            assert kept["verdict"].endswith("undecided") and "[" not in kept["effect"], kept
            continue
        of, over = ([side[seed] for seed in seeds] for side in sides)
        effect = measure_effect(claim, of, over, source["selected from"], source["published"])
        for size in earlier:  # the first look that decides stands
            before = measure_effect(claim, of[:size], over[:size], source["selected from"], source["published"])
            assert before.is_open, (kept, size)
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
            for name in MEASURED:
                values = [float(cell[name]) for cell in cells[row["setting"]] if cell[name]]
                expected = (str(mean(values)) if values else "", str(stdev(values)) if len(values) > 1 else "")
                assert (row.get(f"{name}_mean", ""), row.get(f"{name}_std", "")) == expected, (row["setting"], name)


def unique(cells: dict[str, list[dict[str, str]]]) -> list[dict[str, str]]:
    """The cells, each once."""
    return list({row["cell"]: row for rows in cells.values() for row in rows}.values())


def frozen_edges(table: Path) -> dict[str, tuple[int, int] | None]:
    """All edges and the frozen ones of each line that has results, by settings."""
    with table.open(encoding="utf-8") as file:
        return {
            row["setting"]: (int(row["actual.total"]), int(row["actual.pruned"]) + int(row["actual.locked"]))
            if row["actual.total"] else None
            for row in csv.DictReader(file)
        }  # fmt: skip


def check_line(shown: dict[str, str], rows: list[dict[str, str]], edges: tuple[int, int] | None) -> None:
    """Compare what is shown of a line with the values of its cells, and with the number of all edges and of frozen ones."""

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
    if shown["(1-F)N / 8"] != UNKNOWN:
        assert edges is not None and shown["(1-F)N / 8"] == f"{ceil((edges[0] - edges[1]) / 8):,}", shown
    if shown["s / epoch"] != UNKNOWN:
        assert shown["s / epoch"] == _seconds(mean(values("seconds_an_epoch"))), shown
    if shown["dying edges"] != UNKNOWN:
        assert shown["dying edges"] == f"{mean(values('dying_edge_ratio')):.4f}", shown


def check_looks(table: str, kept: dict[str, Any], both: list[int]) -> list[int]:
    """Compare the seeds and the share of the error of a claim with what params.yaml says of it, as far as it still does.

    Returns:
        The numbers of seeds of the looks before the one that is kept.
    """
    source = kept["computed from"]
    declared = EXPERIMENTS.tables[table].table
    claim = next((claim for claim in declared.claims.values() if claim.text == kept["claim"]), None)
    if claim is None:
        return []
    assert kept["verdict"].startswith(EXPLORATORY) == (table in (claim.exploratory_in or ())), kept
    if claim.across == "most" or f"of {claim.looks})" not in kept["n"]:
        return []
    assert source["selected from"] == claim.looks, kept
    sizes = claim.sizes_of_looks(len(declared.seeds))
    order = [seed for seed in declared.seed_order(claim.most_seeds(len(declared.seeds))) if seed in both]
    assert source["seeds"] == order[: len(source["seeds"])] and len(source["seeds"]) in sizes, kept
    return [size for size in sizes if size < len(source["seeds"])]


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
