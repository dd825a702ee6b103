"""How mistakes in params.yaml are told: each in one short line, at its own place, and soon, whatever stands in the file."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from slt_bench.common.errors import BenchError
from slt_bench.common.yaml.reader import read_yaml
from slt_bench.experiment.checks import Infeasible
from slt_bench.experiment.load import load_experiments
from slt_bench.experiment.mistakes import infeasible
from tests.experiment.test_params import GOOD, refused


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def test_a_wrong_value_that_a_merge_key_brings_is_told_in_its_own_line(file: Path) -> None:
    swift = "  swift: {<<: *quick, momentum: 0.5}\nsearches:"
    merged = GOOD.replace("  quick: {", "  quick: &quick {").replace("searches:", swift)
    file.write_text(merged)
    recipes = load_experiments(file).params.recipes
    assert recipes["swift"] == recipes["quick"].model_copy(update={"momentum": 0.5})
    file.write_text(merged.replace("epochs: 2", "epochs: two"))
    with pytest.raises(BenchError) as caught:
        load_experiments(file)
    wrong = [line.removeprefix(str(file)) for line in str(caught.value).splitlines()]
    assert wrong == [f":6: recipes.{name}.epochs: must be a valid integer, got 'two'" for name in ("quick", "swift")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epochs: 2", "epochs: " + "x" * 100_000),
        ("epochs: 2", '"' + "x" * 1000 + '": 2'),
        ("epochs: 2", '"a\\nb": 2'),
        ("kind: edge-popup", 'kind: "a\\nb"'),
        ("network: tiny", "network: " + "x" * 1000),
        ("epochs: 2", '"": "\\U0001F600\\u202e"'),
    ],
)
def test_a_mistake_is_one_short_line_whatever_stands_in_it(file: Path, old: str, new: str) -> None:
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(BenchError) as caught:
        load_experiments(file)
    for line in str(caught.value).split("\n"):
        assert line.isprintable() and re.match(r":\d+: \w", line.removeprefix(str(file))) and len(line) < len(str(file)) + 500


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NoPhases", "each phase needs one or more, got phases of none"),
        ("ShortPhase", "each phase needs one or more, got phases of 2, 0"),
        ("WrongEnd", r"the last phase has sparsity 0\.\d+, and not 0\.\d+, that of the ticket"),
        ("FailingPhases", "its phases cannot be listed: KeyError: 'rounds'"),
    ],
)
def test_phases_of_a_search_of_ones_own_are_looked_at_before_it_runs(file: Path, name: str, reason: str) -> None:
    file.write_text(GOOD.replace("kind: edge-popup", f"kind: 'tests.laws.broken:{name}'"))
    with pytest.raises(BenchError, match=f"search ep, 2 epochs: {reason}"):
        load_experiments(file)


def test_of_very_many_mistakes_the_first_are_told_and_the_others_counted(file: Path) -> None:
    file.write_text(GOOD.replace("epochs: 2", ", ".join(f"k{number}: 1" for number in range(1000))))
    with pytest.raises(BenchError) as caught:
        load_experiments(file)
    lines = str(caught.value).splitlines()
    assert len(lines) == 31 and lines[-1] == f"{file}: and 971 more mistakes"  # one is that epochs is missing


def test_a_grid_that_nobody_can_run_is_refused_before_it_is_made(file: Path) -> None:
    many = str([number / 5000 for number in range(5000)])
    source, place = f"{many}, lock_ratio: {many}", r":21: tables\.one\.rows\[2\]: "
    refused(
        file, GOOD, "[0.1, 0.2], lock_ratio: 0.2", source, place + r"with this row's grid of 100,000,000 .* 20,000 are the most"
    )
    refused(file, GOOD, "[0, 1]", str(list(range(15_000))), r":20: tables\.one\.rows\[1\]: .* the tables have 45,000 cells")
    small = "tables:\n  few: {like: one, dataset: digits, seeds: " + str(list(range(10_000))) + "}\n"
    refused(file, GOOD, "tables:\n", small, r":12: tables\.few: .* 20,000 are the most")


def test_no_location_of_a_mistake_is_too_odd_to_be_told(file: Path) -> None:
    file.write_text(GOOD)
    parts: tuple[str | int, ...] = ("tables", "one", "rows", 0, 99, -1, "search", "iterative-edge-popup", "[key]", "", "a\nb")
    document = read_yaml(file)
    for location in [(), *product(parts, repeat=1), *product(parts, repeat=3), ("tables", "one", "rows", 0, "search", 0, "x")]:
        told = infeasible(document, [Infeasible(location, "wrong")])
        assert re.fullmatch(r":\d+: \S+( level)?: wrong", told.removeprefix(str(file))), told
