"""The laws: every search of ours keeps them with various parameters, and a search that breaks one is told which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from slt_bench.cli.commands import invoke
from slt_bench.common.errors import BenchError
from slt_bench.laws import laws
from slt_bench.laws.broken import Broken
from slt_bench.laws.check import check_search, find_searches
from slt_bench.laws.toy import make_cell, make_trainer
from slt_bench.params.searches import BUILT_IN, search_class

PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "edge-popup": [{}, {"selection": "local"}],
    "iterative-edge-popup": [
        {"iterations": 2},
        {"iterations": 3, "space": "hard", "scores": "redrawn", "momentum": "reset"},
        {"iterations": 4, "learning_rate": "swept_once", "rule": "linear"},
        {"iterations": 4, "rule": "constant"},
    ],
    "weight-training": [{}],
    "random-mask": [{}],
    "signed-edge-popup": [{}, {"threshold": "zero"}],
    "signed-supermask": [{}, {"threshold": 0.1}],
    "biprop": [{}, {"selection": "local"}],
    "gem-miner": [{"period": 2}, {"period": 3, "selection": "local", "penalty": 0.01}],
    "iterand": [{"every": 5, "probability": 0.3}],
    "multicoated": [{}, {"coats": 7, "selection": "local"}],
    "bernoulli": [{}, {"gradient": "fedpm"}],
}
CASES = [(kind, parameters) for kind, several in PARAMETERS.items() for parameters in several]
BROKEN = {
    "AnyKey": ("declaration", "an unknown key is accepted"),
    "WrongEnd": ("declaration", "the last phase must have sparsity 0.6"),
    "Unheeded": (
        "declaration",
        "phases with scores, .* which its algorithm, ScoreMethod, does not heed",
    ),
    "OneTooMany": ("budget", r"dense source, sparsity 0.5: [\d,]+ edges are kept instead of [\d,]+"),
    "FirstThreshold": (
        "budget",
        r"dense source, sparsity 0\.6, after the search: a ticket keeps [\d,]+ edges instead of [\d,]+",
    ),
    "Mistyped": ("declaration", "_Mistyped.after_steps is no part of the contract, and .*; did you mean after_step?"),
    "NearlyPhases": ("declaration", "NearlyPhases.phase is no part of the contract, and nobody calls it; did you mean phases?"),
    "Greedy": ("budget", r"pruned source, sparsity 0\.95, after the search: a ticket keeps [\d,]+ edges instead of [\d,]+"),
    "WithoutSteepness": ("gradient", r"phase 2 of 4: a small step of [\d,]+ edges: .* by the gradient, .* by the surrogate"),
    "Counting": ("replay", r"the same step with number 1 and number 1000: [\d,]+ of [\d,]+ entries differ"),
    "Elsewhere": ("replay", "after a step it lies elsewhere: previous; a recorded step would go on with the old one"),
    "WithoutSign": ("gradient", r"a small step of [\d,]+ edges: .* by the gradient, .* by the surrogate"),
    "Still": ("progress", "the mask has not changed after 24 steps"),
    "Noisy": ("determinism", r"two runs of one cell: [\d,]+ of [\d,]+ entries differ"),
    "Forgetful": ("resume", r"was stopped after steps .*: [\d,]+ of [\d,]+ entries differ"),
    "Doubled": ("ticket", r"the rebuilt network: [\d,]+ of [\d,]+ entries differ"),
    "Curious": ("images", "opens data/digits/test.beton"),
}


def test_every_search_of_ours_is_tried() -> None:
    assert list(PARAMETERS) == list(BUILT_IN)


FIRST: list[tuple[str, dict[str, Any]]] = [
    ("edge-popup", {}),
    ("signed-supermask", {}),
    ("tests.plugins.gates:Gates", {}),
    ("tests.plugins.signs:Signs", {}),
]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [*FIRST, *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES if case not in FIRST)],
    ids=str,
)
@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: str(law.__name__))
def test_searches_keep_the_laws(kind: str, parameters: dict[str, Any], law: Any) -> None:
    assert law(search_class(kind)(kind=kind, **parameters))


@pytest.mark.parametrize("name", BROKEN)
def test_a_search_that_breaks_a_law_is_told_which_and_with_what_numbers(name: str) -> None:
    law, message = BROKEN[name]
    search = search_class(kind := f"tests.laws.broken:{name}")(kind=kind)
    with pytest.raises(Broken, match=message):
        getattr(laws, law)(search)


def test_a_search_may_have_a_rule_of_its_own_in_place_of_sgd() -> None:
    kind = "tests.plugins.signs:Signs"
    trainer = make_trainer(make_cell(search_class(kind)(kind=kind)))
    before = trainer.method.learned.clone()
    (images, labels), *_ = trainer.train_loader.epoch()
    trainer.step.compose(0)
    trainer.step(images, labels, 0, 1, 0.25)
    moved = (trainer.method.learned - before).abs()
    torch.testing.assert_close(moved, torch.where(moved > 0.1, 0.25, 0.0), atol=1e-6, rtol=0)
    assert moved.count_nonzero() > len(moved) / 2 and not trainer.optimizer.velocity.any()


def test_laws_are_tried_with_the_arithmetic_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """And with kernels that give equal bits, where there is a GPU."""

    def arithmetic(*_: object) -> str:
        return f"tf32 {torch.backends.cudnn.allow_tf32}, equal bits {torch.are_deterministic_algorithms_enabled()}"

    monkeypatch.setattr(laws, "LAWS", (arithmetic,))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    (search,) = find_searches("edge-popup", {})
    assert next(check_search(search)).detail.startswith(f"tf32 False, equal bits {torch.cuda.is_available()}")


def test_a_law_that_fails_does_not_hide_the_others() -> None:
    (search,) = find_searches("tests.laws.broken:OneTooMany", {})
    verdicts = {verdict.law: verdict for verdict in check_search(search)}
    assert list(verdicts) == [law.__name__ for law in laws.LAWS]
    assert not verdicts["budget"].holds and verdicts["determinism"].holds and str(verdicts["budget"]).startswith("✗ budget")


def test_an_error_names_the_line_of_ones_own_file() -> None:
    kind = "tests.laws.broken:Forgets"
    (search,) = find_searches(kind, {})
    details = {verdict.law: verdict.detail for verdict in check_search(search)}
    assert "AttributeError" in details["progress"] and "tests/laws/broken.py:" in details["progress"]
    assert "return mask.nothing" in details["progress"]


SOURCE = Path(__file__).parent.parent / "plugins" / "gates.py"


def test_the_command_takes_a_file_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_gates.py").write_text(SOURCE.read_text())
    invoke(["check-search", "my_gates.py", "--with", "rounds=2"])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "my_gates:Gates: soft gates" and len(told) == 1 + len(laws.LAWS)
    assert all(line.startswith("  ✓") for line in told[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.py"], "there is no file nothing.py"),
        (["empty.py"], "empty.py defines no search"),
        (["wrong.py"], "wrong.py cannot be imported: ZeroDivisionError"),
        (["empty"], "'empty' is no kind of search, and empty.py is a file: check-search empty.py"),
        (["edge-popup", "--with", "kind=biprop"], "the kind of a search is the argument itself"),
        (["edge-pop"], "'edge-pop' is none of edge-popup, .*did you mean 'edge-popup'"),
        (["my_lab.searches:Gates"], "'my_lab.searches:Gates' cannot be imported: ModuleNotFoundError"),
        (["tests.plugins.gates:Gate"], "has no Gate; did you mean 'Gates'"),
        (["tests.plugins.gates:Tensor"], "is no search"),
        (["tests.plugins.gates:Gates", "--with", "factor=1"], "factor: Input should be greater than 1"),
        (["tests.plugins.gates:Gates", "--with", "bogus=1"], "bogus: there is no such parameter; parameters are .*factor"),
        (["tests.plugins.gates:Gates", "--with", "factor"], "must be KEY=VALUE, got 'factor'"),
        (["tests.plugins.gates:Gates", "--with", "rounds=100"], r"does not hold: .*of tests.plugins.gates:Gates"),
    ],
)
def test_what_cannot_be_checked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "wrong.py").write_text("1 / 0\n")
    with pytest.raises(BenchError, match=message):
        invoke(["check-search", *arguments])
