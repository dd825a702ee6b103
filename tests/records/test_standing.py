"""Where a cell stands, and which images results are compared on, by files that somebody may have changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slt_bench.experiment.cell import Cell
from slt_bench.params.sources import Source
from slt_bench.records.checksums import write_checksums
from slt_bench.records.result import Absent, common_images, read_outcome
from slt_bench.records.standing import cell_standing, divergence
from tests.report.test_report import diverge, pretend, record_too

MakeCell = Callable[..., Cell]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of this test alone, where no images are prepared."""
    monkeypatch.chdir(tmp_path)


def test_a_result_of_other_code_that_is_damaged_is_not_compared(make_cell: MakeCell) -> None:
    pretend(cell := make_cell(), 60.0)
    assert cell_standing(cell, None).is_comparable and cell_standing(cell, None).is_of_other_code
    (cell.directory / "metrics.json").write_text('{"top1": 99.0}')
    standing = cell_standing(cell, None)
    assert standing.reason == "damaged: metrics.json" and not standing.is_comparable


def test_a_parents_ticket_that_was_changed_is_another_one(make_cell: MakeCell) -> None:
    """Not one that is only gone: what the child was found in is not known to be this."""
    parent = make_cell(sparsity=0.8)
    child = make_cell(source=Source(prune_ratio=0.8, layout="from_ticket", parent=parent.as_parent()))
    pretend(parent, 60.0)
    pretend(child, 60.0)
    sums = (parent.directory / "SHA256SUMS").read_text().splitlines()
    (digest,) = (line[:12] for line in sums if line.endswith("  ticket.safetensors"))
    record = child.directory / "search.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"parent": digest}))
    write_checksums(child.directory)
    assert cell_standing(child, None).is_comparable
    (parent.directory / "ticket.safetensors").write_bytes(b"changed")
    assert "other ticket of its parent" in cell_standing(child, None).reason and not cell_standing(child, None).is_comparable


def test_a_search_of_other_parameters_that_diverged_says_nothing_of_this_one(make_cell: MakeCell) -> None:
    diverge(cell := make_cell())
    assert divergence(cell.directory, cell.identity) == "epoch 1, step 3: the loss is nan"
    assert divergence(cell.directory, "0" * 12) is None


def test_without_prepared_images_those_of_the_latest_result_of_these_parameters_count(make_cell: MakeCell) -> None:
    cells = [make_cell(seed=seed) for seed in range(3)]
    for cell, day in zip(cells, (3, 1, 7), strict=True):
        pretend(cell, 60.0, images=str(day) * 64, finished=f"2026-01-0{day}T10:00:00+00:00")
    assert common_images(cells) == {"digits": "7" * 64} == common_images(cells[::-1])
    record = cells[2].directory / "search.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"identity": "0" * 12}))
    write_checksums(cells[2].directory)
    assert common_images(cells) == {"digits": "3" * 64} == common_images(cells[::-1])


@pytest.mark.parametrize(("file", "lacks"), [("metrics.json", "kept"), ("metrics.json", "images"), ("history.csv", "")])
def test_a_result_with_a_file_that_is_not_whole_is_left_out(make_cell: MakeCell, file: str, lacks: str) -> None:
    """Also where its digests were written anew."""
    pretend(cell := make_cell(), 60.0)
    path = cell.directory / file
    metrics = {
        name: value for name, value in json.loads((cell.directory / "metrics.json").read_text()).items() if name != lacks
    }
    path.write_text(json.dumps(metrics) if file == "metrics.json" else path.read_text().splitlines()[0])
    write_checksums(cell.directory)
    outcome = read_outcome(cell, None)
    assert isinstance(outcome, Absent) and outcome.reason.startswith("damaged: search.json, metrics.json or history.csv")


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch_seconds": []},
        {"epoch_seconds": [1.0]},
        {"environment": {}},
        {"environment": None},
        {"data": {"origin": "digits"}},
        {"data": []},
    ],
)
def test_a_record_that_is_not_whole_is_left_out(make_cell: MakeCell, changes: dict[str, Any]) -> None:
    """Also where its digests were written anew."""
    pretend(cell := make_cell(), 60.0)
    record_too(cell, changes)
    outcome = read_outcome(cell, None)
    assert isinstance(outcome, Absent) and outcome.reason.startswith("damaged: search.json, metrics.json or history.csv")
