"""Kept tickets give the accuracy that is kept with them, or it is said which do not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors import safe_open

from slt_bench.cli.commands import invoke
from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.data.manifest import read_manifest
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.load import load_experiments
from slt_bench.kept import tickets
from slt_bench.kept.tickets import check_size, keep_tickets
from slt_bench.params.machine import Machine
from slt_bench.run.cells import evaluate_cell
from slt_bench.run.tables.verify import _seen, verify_results
from slt_bench.search.run import search
from tests.toys_results import read_results
from tests.toys_tickets import make_spec

DECLARED = load_experiments(Path(__file__).parents[2] / "params.yaml")
SEEDS = (1, 0, 2)  # the first is neither the first nor the last of a line
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def searched(digits_directory: Path, make_cell: Callable[..., Cell], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of three seeds."""
    directory = tmp_path_factory.mktemp("searched")
    (directory / "data").mkdir()
    (directory / "data" / "digits").symlink_to(digits_directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        for seed in SEEDS:
            search(make_cell(seed=seed))
            evaluate_cell(Machine(), make_cell(seed=seed))
    return directory / "outputs"


@pytest.fixture
def kept(project: Path, searched: Path, make_cell: Callable[..., Cell]) -> Path:
    """A table's folder in results/, with the ticket of one of three seeds."""
    shutil.copytree(searched, project / "outputs")
    cells = [make_cell(seed=seed) for seed in SEEDS]
    lines = [SimpleNamespace(results=read_results(cells), cell=cells[0]), SimpleNamespace(results=[], cell=cells[0])]
    folder = paths.RESULTS / "one"
    results: Any = SimpleNamespace(name="one", lines=lines)
    folder.mkdir(parents=True)
    (folder / "made.json").write_text(json.dumps({"tickets": keep_tickets(results, folder)}))
    return folder


def change(folder: Path, how: Change) -> None:
    content = json.loads((folder / "made.json").read_text())
    how(content["tickets"][0])
    (folder / "made.json").write_text(json.dumps(content))


def test_a_kept_ticket_gives_its_accuracy_again(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = (kept / "tickets").iterdir()
    assert file.name.endswith("_seed0.safetensors"), "the ticket of the first seed"
    with safe_open(file, "pt") as content:
        assert "mask_coded" in content.keys(), "entropy-coded"  # noqa: SIM118  # it is no mapping
    (check,) = verify_results(DECLARED, ["one"])
    assert check.kind == "equal" and str(check).startswith("✓ results/one/tickets/")
    assert [each.kind for each in verify_results(DECLARED, [])] == ["equal"], "all tables where none is named"
    check_size(paths.RESULTS, "one", kept)


@pytest.mark.parametrize(
    ("how", "kind", "says"),
    [
        (lambda record: record.update(top1=record["top1"] + 20), "differs", r"expected \d+ of 359 images, got \d+ of 359"),
        (lambda record: record.update(images=358), "differs", "of 358 images, got"),
        (lambda record: record.update(digest="f" * 64), "not compared", "holds other images"),
        (
            lambda record: record.update(dataset="imagenet"),
            "not compared",
            "`slt-bench prepare imagenet`",
        ),
        (lambda record: record.update(file="tickets/gone"), "differs", "gone"),
        (
            lambda record: record.update(cell="digits_tiny_dense_ep_quick_s50_seed1"),
            "differs",
            "expected the ticket of digits_tiny_dense_ep_quick_s50_seed1, got that of digits_tiny_dense_ep_quick_s50_seed0",
        ),
    ],
)
def test_what_differs_is_named(kept: Path, how: Change, kind: str, says: str) -> None:
    change(kept, how)
    (check,) = verify_results(DECLARED, ["one"])
    assert check.kind == kind
    assert re.search(says, str(check)), str(check)


def test_an_image_that_another_machine_classifies_otherwise_is_near(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(kept, lambda record: record.update(top1=record["top1"] + 100 / 359))
    monkeypatch.setattr("slt_bench.run.tables.verify._NEAR", 0.003)
    (check,) = verify_results(DECLARED, ["one"])
    assert check.kind == "near" and "1 otherwise" in check.detail


def test_a_damaged_ticket_is_named(kept: Path) -> None:
    (file,) = (kept / "tickets").iterdir()
    content = bytearray(file.read_bytes())
    content[-20] ^= 0xFF
    file.write_bytes(content)
    (check,) = verify_results(DECLARED, ["one"])
    assert check.kind == "differs" and str(check).count(file.name) == 1, str(check)
    file.unlink()
    (check,) = verify_results(DECLARED, ["one"])
    assert check.kind == "differs" and str(check) == f"✗ {file}: there is no ticket"


def test_a_restored_result_keeps_the_ticket_that_is_kept_already(
    kept: Path, make_cell: Callable[..., Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = (kept / "tickets").iterdir()
    cell = make_cell(seed=0)
    (cell.directory / "ticket.safetensors").unlink()
    results: Any = SimpleNamespace(name="one", lines=[SimpleNamespace(results=read_results([cell]), cell=cell)])
    before = file.read_bytes()
    (record,) = keep_tickets(results, paths.RESULTS / "anew")
    assert (paths.RESULTS / "anew" / record["file"]).read_bytes() == before and "note:" not in capsys.readouterr().out
    change(kept, lambda record: record.update(top1=1.0))  # of another result of this cell
    assert keep_tickets(results, paths.RESULTS / "anew") == []
    assert f"note: no ticket of {cell.setting} is kept: its results were restored without one" in capsys.readouterr().out


def test_a_ticket_that_is_not_the_cells_own_is_not_kept(kept: Path, make_cell: Callable[..., Cell]) -> None:
    one, other = (make_cell(seed=seed) for seed in (0, 1))
    shutil.copy(other.directory / "ticket.safetensors", one.directory / "ticket.safetensors")
    results: Any = SimpleNamespace(name="one", lines=[SimpleNamespace(results=read_results([one]), cell=one)])
    with pytest.raises(
        BenchError, match=rf"{one.id}/ticket\.safetensors is not the ticket that was .*`slt-bench run {one.id}`"
    ):
        keep_tickets(results, paths.RESULTS / "anew")


@pytest.mark.parametrize("kind", ["training", "random"])
def test_what_no_search_found_is_not_kept(kept: Path, kind: str, make_cell: Callable[..., Cell]) -> None:
    (file,) = (kept / "tickets").iterdir()
    cell = make_cell(search=DECLARED.params.searches[kind])
    results: Any = SimpleNamespace(name="one", lines=[SimpleNamespace(results=read_results([make_cell(seed=0)]), cell=cell)])
    assert not keep_tickets(results, kept) and list((kept / "tickets").iterdir()) == [file]


def test_a_table_without_tickets(kept: Path) -> None:
    (kept / "made.json").write_text("{}")
    with pytest.raises(BenchError, match="keeps no tickets: none of its lines was searched"):
        list(verify_results(DECLARED, ["one"]))
    with pytest.raises(BenchError, match="is no kept table"):
        list(verify_results(DECLARED, ["two"]))
    assert not list(verify_results(DECLARED, []))


def test_tickets_that_are_too_much_for_a_repository(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(path.stat().st_size for path in kept.glob("tickets/*"))
    monkeypatch.setattr(tickets, "_MOST_BYTES", 2 * size - 1)
    check_size(paths.RESULTS, "one", kept)  # takes its own place
    with pytest.raises(BenchError, match=r"remove results/TABLE of .* \(the largest: one, .*two is as it was"):
        check_size(paths.RESULTS, "two", kept)


def test_images_that_are_at_hand_are_prepared(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """These are other digits than the kept ticket's."""
    Path("data/digits").unlink()
    (check,) = verify_results(DECLARED, ["one"])
    assert "digits: 1,150 train" in capsys.readouterr().out and check.kind in ("equal", "not compared")


def test_the_command_fails_where_a_ticket_differs(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(Path(__file__).parents[2] / "params.yaml", "params.yaml")
    manifest = read_manifest(paths.dataset_dir("digits"))
    (kept / "made.json").rename("elsewhere.json")
    with pytest.raises(BenchError, match="no ticket was compared: no table in results keeps one"):
        invoke(["results", "--verify"])
    Path("elsewhere.json").rename(kept / "made.json")
    invoke(["results", "--verify"])
    assert "1 of 1 tickets give the accuracy that is kept with them" in capsys.readouterr().out
    change(kept, lambda record: record.update(digest="f" * 64))
    with pytest.raises(BenchError, match=r"no ticket was compared: data/digits holds other images"):
        invoke(["results", "--verify"])
    assert "0 of 1 tickets give the accuracy that is kept with them; 1 were not compared, for" in capsys.readouterr().out
    change(kept, lambda record: record.update(digest=manifest.digest, top1=record["top1"] + 20))
    with pytest.raises(BenchError, match=r"results/one/tickets/.*expected"):
        invoke(["results", "--verify"])


def test_tickets_that_see_images_otherwise_are_measured_apart() -> None:
    files: list[Any] = [SimpleNamespace(ticket=SimpleNamespace(spec=make_spec(**how)))
                        for how in ({}, {"mean": [0.1] * 3}, {"std": [0.1] * 3}, {"image_size": 9}, {"resize": 9})]  # fmt: skip
    assert len({_seen({"dataset": "digits"}, file) for file in files} | {_seen({"dataset": "x"}, files[0])}) == 6
