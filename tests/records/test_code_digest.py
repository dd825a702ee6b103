"""The digest of code: it follows definitions, wherever they stand, and nothing else."""

from __future__ import annotations

import ast
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from slt_bench.params.searches import BUILT_IN
from slt_bench.records import code_digest as digests
from slt_bench.records.code_digest import OF_A_CELL, code_digest
from stages.plan import ENTRIES


@pytest.fixture(scope="module")
def one_for_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, whose files are as they were after each test; so most of them are parsed once."""
    before()
    return copied(tmp_path_factory.mktemp("code"))


def copied(folder: Path) -> Path:
    """A copy of the package, without what Python has compiled of it."""
    return Path(shutil.copytree(digests.PACKAGE, folder / "slt_bench", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def package(one_for_all: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy of the package whose code is looked at."""
    monkeypatch.setattr(digests, "PACKAGE", one_for_all)
    return one_for_all


@pytest.fixture
def own_package(one_for_all: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a test's own."""
    package = copied(tmp_path)
    monkeypatch.setattr(digests, "PACKAGE", package)
    return package


def digest_all() -> dict[str, str]:
    entries = ENTRIES | {"search": [*OF_A_CELL, BUILT_IN["edge-popup"]]}
    return {name: code_digest(*functions) for name, functions in entries.items()}


@cache
def before() -> dict[str, str]:
    """The digests of the package itself, and of any copy."""
    return digest_all()


def changed(file: Path, old: str, new: str) -> set[str]:
    """What has another digest once `old` is `new` in a file."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    after = digest_all()
    file.write_text(text)
    return {name for name in after if after[name] != before()[name]}


def test_comments_and_docstrings_do_not_count(own_package: Path) -> None:
    layouts = own_package / "networks/layouts.py"
    text = layouts.read_text()
    layouts.write_text(text.replace('"""Layouts:', '# a remark\n"""About layouts:'))
    assert changed(layouts, '    """Uniform: every layer', '    """Uniform: each layer') == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("ticket/top_k.py", "_FEW = 4096", "_FEW = 4097", {"search"}),
        ("ticket/top_k_loops.py", "BLOCK = 256", "BLOCK = 257", {"search"}),
        ("search/methods/edge_popup.py", "class EdgePopup(Ranking):", "class EdgePopup(Ranking, title='x'):", {"search"}),
        ("search/methods/edge_popup.py", 'return self._label("edge popup") + long', 'return "another name"', set()),
        ("search/methods/random_mask.py", "class RandomMask(Ranking):", "class RandomMask(Ranking, title='x'):", set()),
        ("common/random.py", "def words(", "def words(*, _more: int = 0, ", {"search", "prepare"}),
        ("data/sources/imagenet.py", "def imagenet_release(", "def imagenet_release(*, _more: int = 0, ", {"prepare"}),
        ("params/tables.py", "class Row(Model):", "class Row(Model, title='x'):", {"table"}),
        ("report/verdicts/claims.py", "def measure_effect(", "def measure_effect(*, _more: int = 0, ", {"table"}),
        ("tracking/runs.py", "def track(", "def track(*, _more: int = 0, ", {"table"}),
        ("records/syntax.py", "def dumped(", "def dumped(*, _more: int = 0, ", set()),
        ("report/page.html", "<", " <", {"table"}),
        ("report/base.html", "<", " <", {"table"}),
        ("report/parts.html", "<", " <", {"table"}),
        ("experiment/published.yaml", "value: 73.3", "value: 73.4", {"table"}),
    ],
)
def test_what_is_used_counts_and_nothing_else(package: Path, file: str, old: str, new: str, stale: set[str]) -> None:
    assert changed(package / file, old, new) == stale


def test_a_definition_that_nothing_uses_does_not_count(package: Path) -> None:
    assert changed(package / "search/trainer.py", "class Trainer", "NEW = 1\n\n\nclass Trainer") == set()


def test_a_module_that_is_renamed_is_the_same_code(own_package: Path) -> None:
    """By its names, `from package import module`, and `from module import name as other`."""
    (own_package / "common/random.py").rename(own_package / "common/streams.py")
    for file in own_package.rglob("*.py"):
        text = re.sub(r"(from slt_bench\.common import (?:\w+, )*)random\b", r"\1streams", file.read_text())
        text = re.sub(r"(?<![.\w])random\.", "streams.", text) if re.search(r"import (\w+, )*streams\b", text) else text
        file.write_text(text.replace("slt_bench.common.random", "slt_bench.common.streams"))
    assert digest_all() == before()


def test_a_definition_that_moves_is_the_same_code(own_package: Path) -> None:
    loss = own_package / "search/steps/optimizer.py"
    (own_package / "search/sgd.py").write_text(loss.read_text())
    loss.write_text("from slt_bench.search.sgd import Sgd\n")
    assert digest_all() == before()


@pytest.mark.parametrize(
    "line",
    [
        "from slt_bench.networks import layouts",
        "from slt_bench.networks import layouts as theirs, registry",
        "import slt_bench.networks.layouts",
        "from slt_bench.networks.layouts import *",
        "from slt_bench.networks.layouts import real_shares",
    ],
)
def test_what_a_plugin_imports_of_the_package_counts(
    own_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """Whole, where a module is imported: a plug-in may take any of its names then."""
    (tmp_path / "my_layout.py").write_text(f"{line}\nfrom slt_bench.common.text import did_you_mean\n")
    monkeypatch.syspath_prepend(tmp_path)
    layouts, text = own_package / "networks/layouts.py", own_package / "common/text.py"
    before = code_digest("my_layout:mine")
    text.write_text(text.read_text().replace("def duration", "def lasting"))
    assert code_digest("my_layout:mine") == before
    layouts.write_text(layouts.read_text().replace("(total > 0)", "(total > 1)"))
    assert code_digest("my_layout:mine") != before


def test_a_module_imported_whole_and_by_name_counts_whole(own_package: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "my_names.py").write_text("import slt_bench.common.text\nfrom slt_bench.common.text import did_you_mean\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = own_package / "common/text.py"
    text.write_text(text.read_text() + "from slt_bench.common.rounding import round_to_total\n")
    before = code_digest("my_names:mine")
    text.write_text(text.read_text().replace("def grouped", "def grouped_by"))
    after, rounding = code_digest("my_names:mine"), own_package / "common/rounding.py"
    assert after != before
    rounding.write_text(rounding.read_text().replace("def round_to_total(", "def round_to_total(more, "))
    assert code_digest("my_names:mine") != after, "with what it has from elsewhere"


def test_an_entry_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="defines no nothing"):
        code_digest("slt_bench.search.run:nothing")


def test_the_version_of_python_does_not_count(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree of Python 3.12 has one field more, empty in code for 3.11."""
    here, parse = code_digest(*OF_A_CELL), ast.parse

    def parse_as_later(text: str) -> ast.Module:
        tree = parse(text)
        named: list[Any] = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        for node in named:
            node.type_params = []
        return tree

    digests._parsed.cache_clear()
    monkeypatch.setattr(ast, "parse", parse_as_later)
    for kind in (ast.FunctionDef, ast.ClassDef):
        if "type_params" not in kind._fields:
            monkeypatch.setattr(kind, "_fields", (*kind._fields, "type_params"))
    assert "type_params=[]" in ast.dump(ast.parse("def f(): pass"))
    assert code_digest(*OF_A_CELL) == here
    digests._parsed.cache_clear()
