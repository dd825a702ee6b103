"""Seeds until decided: which cells are run, and when it stops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slt_bench.cli.commands import invoke
from slt_bench.common.errors import BenchError
from slt_bench.engine.head import Failure
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.report.results import table_results
from slt_bench.report.verdicts.open_claims import open_claims
from slt_bench.run.many import Places
from slt_bench.run.tables import decide as deciding
from slt_bench.run.tables.decide import cheapest, decide, describe_open, filled
from tests.engine.projects import PARAMS, written
from tests.report.test_claims import TEXT
from tests.report.test_report import pretend

CLAIMS = """\
    claims:
      frozen: {text: frozen is better, of: {row: frozen}, over: {row: dense}, matters: 1, looks: 3}
"""


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deciding, "prepare_missing", lambda *_: None)
    Path("params.yaml").write_text(TEXT + CLAIMS)
    return load_experiments(Path("params.yaml"))


class Runs:
    """Cells that take no time and have the accuracy that somebody says."""

    def __init__(self, accuracy: Any) -> None:
        self.accuracy, self.calls = accuracy, list[list[Cell]]()

    def __call__(self, experiments: object, tables: object, cells: Sequence[Cell], places: Places) -> list[Any]:
        self.calls.append(list(cells))
        for cell in cells:
            pretend(cell, self.accuracy(cell))
        return []

    @property
    def seeds(self) -> list[int]:
        return sorted({cell.seed for cells in self.calls for cell in cells})


def is_frozen(cell: Cell) -> bool:
    return cell.source.freezing_ratio > 0


def run(params: Experiments, accuracy: Any, monkeypatch: pytest.MonkeyPatch, hours: float = 1.0) -> Runs:
    runs = Runs(accuracy)
    monkeypatch.setattr(deciding, "search_cells", runs)
    decide(params, "one", hours, Places(jobs=2))
    return runs


def test_a_clear_effect_needs_no_more_seeds_than_the_table_has(
    params: Experiments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = run(params, lambda cell: 60.0 + 10 * is_frozen(cell) + 0.01 * cell.seed * is_frozen(cell), monkeypatch)
    assert runs.seeds == [0, 1], "the table's own"
    monkeypatch.setattr(deciding, "prepare_missing", None)
    assert not run(params, None, monkeypatch).calls, "and then nothing is to be prepared"
    assert {cell.sparsity for cells in runs.calls for cell in cells} == {0.3, 0.5}
    assert "all claims that are tests are decided" in capsys.readouterr().out


def test_an_uncertain_one_gets_more_and_no_more_than_its_looks(
    params: Experiments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = {0: 0.8, 1: 1.6, 2: 1.1, 3: 0.9, 4: 1.0, 5: 1.0}
    runs = run(params, lambda cell: 60.0 + (noise[cell.seed] if is_frozen(cell) else 0.0), monkeypatch)
    assert set(runs.seeds) > {0, 1} and max(runs.seeds) <= 4, "three looks: 2, 3 and 5 seeds"
    told = capsys.readouterr().out
    assert "next with 3 seeds, 2 cells more" in told
    results = table_results(params.tables["one"])
    assert all(len(line.cells) >= 3 for line in results.lines if line.label != "weight training"), "they stand in the table"


def test_what_no_look_can_decide_is_left(
    params: Experiments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spread = {0: -9.0, 1: 10.0}
    runs = run(params, lambda cell: 60.0 + (spread[cell.seed] if is_frozen(cell) else 0.0), monkeypatch)
    assert runs.seeds == [0, 1] and "hopeless: frozen is better" in capsys.readouterr().out


def test_it_stops_when_the_hours_are_over(
    params: Experiments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of cells of which the first says how long they take."""
    monkeypatch.setattr(deciding, "seconds_of", lambda _, claims: {cell.id: 7200.0 for one in claims for cell in one.cells})
    runs = run(params, lambda _: 60.0, monkeypatch, hours=0.5)
    assert not runs.calls and "the hours do not suffice" in capsys.readouterr().out


def test_where_nothing_ran_one_cell_a_process_tells_the_time(params: Experiments, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = run(params, lambda cell: 60.0 + 10 * is_frozen(cell), monkeypatch)
    assert len(runs.calls[0]) == 2


def test_no_process_is_idle_while_a_claim_takes_its_cells(params: Experiments) -> None:
    cells = params.tables["one"].cells
    seconds = {cell.id: 10.0 for cell in cells}
    assert filled([cells[:3], cells[2:6]], 2, seconds, 100) == cells[:4], "the fourth belongs to the next claim"
    assert filled([cells[:2], cells[2:6]], 2, seconds, 100) == cells[:2]
    assert filled([cells[:1], cells[:1], cells[1:3]], 4, seconds, 100) == cells[:3], "as far as there are any"
    seconds[cells[3].id] = 90.0
    assert filled([cells[:3], cells[3:6]], 2, seconds, 50) == [*cells[:3], cells[4]], (
        "what the hours do not suffice for is left"
    )
    child = cells[4].model_copy(update={"source": SimpleNamespace(id="of-ticket", parent=cells[3])})
    assert filled([cells[:3], [cells[3], child]], 2, seconds, 50) == cells[:3], "and what needs its ticket"


def test_no_cell_is_begun_that_does_not_end_within_the_hours(params: Experiments) -> None:
    """However many run at a time: one cell is one process."""
    claims = list(open_claims(table_results(params.tables["one"])))
    seconds: dict[str, float | None] = {cell.id: 3600.0 for claim in claims for cell in claim.cells}
    assert not cheapest(claims, seconds, left=1800.0, jobs=8)
    assert cheapest(claims, seconds, left=3700.0, jobs=8) == claims
    assert cheapest(claims, seconds, left=3700.0, jobs=8, tried={claims[0].cells[0].id}) == claims[1:]


def test_a_failed_cell_stops_nothing_else(
    params: Experiments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs(lambda cell: 60.0 + 10 * is_frozen(cell))

    def search(experiments: Experiments, tables: object, cells: Sequence[Cell], places: Places) -> list[Failure]:
        bad = [cell for cell in cells if cell.sparsity == 0.3 and is_frozen(cell)]
        runs(experiments, tables, [cell for cell in cells if cell not in bad], places)
        return [Failure(cell, "no memory", None) for cell in bad]

    monkeypatch.setattr(deciding, "search_cells", search)
    failures = decide(params, "one", 1.0, Places(jobs=2))
    assert failures and {failure.cell.sparsity for failure in failures} == {0.3}
    told = capsys.readouterr().out
    assert "a cell of it was tried and has no result" in told and any(
        cell.sparsity == 0.5 for cells in runs.calls for cell in cells
    )


def test_parents_whose_ticket_is_not_there_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PARAMS.replace("{search: random, source", "{id: child, search: random, source")
    text += """\
      - {id: other, search: random, sparsity: 0.5}
    claims:
      better: {text: better, of: {row: child}, over: {row: other}}
"""
    experiment = written(text).tables["one"]
    (claim,) = open_claims(table_results(experiment))
    parents = [cell for cell in experiment.cells if cell.search_name == "ep"]
    assert claim.cells[:2] == parents and len(claim.cells) == 6
    for parent in parents:
        pretend(parent, 50.0)
    (claim,) = open_claims(table_results(experiment))
    file = parents[0].directory / "search.json"
    whole = file.read_text()
    file.write_text(whole.replace(parents[0].identity, "of another"))  # its children would refuse its ticket
    assert next(open_claims(table_results(experiment))).cells[0] == parents[0]
    file.write_text(whole)
    assert len(claim.cells) == 4 and not any(parent in claim.cells for parent in parents)


def test_the_plan_tells_what_an_open_claim_needs(params: Experiments, capsys: pytest.CaptureFixture[str]) -> None:
    assert all("a time that is not known yet" in line for line in describe_open(params.tables["one"]))
    for cell in params.tables["one"].cells:
        pretend(cell, 60.0 + (1.0 + 0.4 * cell.seed) * is_frozen(cell))
    (first, *_) = open_claims(table_results(params.tables["one"]))
    assert first.sizes == [3, 5] and {cell.seed for cell in first.cells} == {2}
    invoke(["plan", "one"])
    assert "next with 3 seeds, 2 cells more, about 0.00 hours" in capsys.readouterr().out


def test_options_that_belong_together(params: Experiments) -> None:
    for options in (["--decide"], ["--hours", "1"]):
        with pytest.raises(BenchError, match="--decide and --hours H belong together"):
            invoke(["run", "one", *options])
    with pytest.raises(BenchError, match="there is no table"):
        invoke(["run", "one_seed", "--decide", "--hours", "1"])


def test_hours_are_of_all_tables_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now, given = [0.0], list[float]()

    def decide(experiments: object, table: str, hours: float, places: object) -> list[Failure]:
        given.append(hours)
        now[0] += 1800
        return []

    monkeypatch.setattr(deciding, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for name in ("prepare_missing", "show_table", "report_failures"):
        monkeypatch.setattr(deciding, name, lambda *_: None)
    monkeypatch.setattr(deciding, "decide", decide)
    experiments: Any = SimpleNamespace(table=lambda name: SimpleNamespace(cells=[], name=name))
    deciding.decide_tables(experiments, ["a", "b"], 1.0, Places())
    assert given == [1.0, 0.5]
