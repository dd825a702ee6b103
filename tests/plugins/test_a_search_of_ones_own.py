"""A search that lives in the project's directory, through check, plan, run, evaluation, report and MLflow."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slt_bench.cli.commands import invoke
from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.load import load_experiments
from slt_bench.records.code_digest import cell_code, kind_code
from slt_bench.records.plugin_code import plugin_code
from slt_bench.run.tables import reports
from slt_bench.ticket.file import read_ticket
from tests.cli.run import command
from tests.engine.projects import ONE_SEED

GATES = Path(__file__).parent / "gates.py"
HELPED = GATES.read_text().replace("import torch\n", "import torch\nfrom my_help import HALF_OPEN\n").replace(
    "torch.zeros_like(self.network.free_weights)", "torch.full_like(self.network.free_weights, HALF_OPEN)"
)  # fmt: skip
PARAMS = ONE_SEED.replace("searches:\n", 'searches:\n  gates: {kind: "my_gates:Gates", rounds: 2}\n').replace(
    "    rows:\n", "    rows:\n      - {search: gates, sparsity: 0.9}\n"
)


@pytest.fixture
def lab(project: Path) -> Iterator[Path]:
    """A project with a search of its own, which imports a module of its own."""
    (project / "my_gates.py").write_text(HELPED)
    (project / "my_help.py").write_text("HALF_OPEN = 0.0\n")
    (project / "params.yaml").write_text(PARAMS)
    kind_code.cache_clear()
    yield project
    kind_code.cache_clear()


@pytest.mark.slow
def test_it_goes_the_whole_way(lab: Path, empty_store: Path) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_store, lab / "mlflow.db")
    assert "no mistake found" in command("check").stdout
    assert "3 cells are left" in command("plan", "one").stdout
    ran = command("run", "one", "--jobs", "1")
    assert ran.returncode == 0 and "[3/3]" in ran.stdout, ran.stdout + ran.stderr
    cell = load_experiments().tables["one"].cells[0]
    read = read_ticket(cell.directory / "ticket.safetensors")
    assert read.counts.kept == read.counts.total - round(0.9 * read.counts.total)
    assert "soft gates" in (paths.table_dir("one") / "table.md").read_text()
    assert "all 3 cells have their results" in command("run", "one").stdout
    reports.track_table(load_experiments().table("one"), required=True)
    client = MlflowClient(f"sqlite:///{lab / 'mlflow.db'}")
    experiments = [found.experiment_id for found in client.search_experiments()]
    tracked = [run.data.tags for run in client.search_runs(experiments) if run.data.tags.get("cell") == cell.id]
    assert [tags["code"] for tags in tracked] == [cell_code(cell)]
    (lab / "my_help.py").write_text("HALF_OPEN = 0.5\n")
    kind_code.cache_clear()  # which a process that starts now has not filled yet
    (stale,) = (line for line in command("plan", "one").stdout.splitlines() if "stale  " in line)
    assert "_gates_" in stale and "of other code" in stale


def test_the_digest_is_of_its_own_modules_and_comments_do_not_count(lab: Path) -> None:
    gates, other, _ = load_experiments().tables["one"].cells
    before = cell_code(gates), cell_code(other)

    def digests() -> tuple[str, str]:
        kind_code.cache_clear()
        return cell_code(gates), cell_code(other)

    (lab / "my_gates.py").write_text(HELPED.replace('"""A score for', '# a remark\n    """One score for'))
    assert digests() == before
    (lab / "my_gates.py").write_text(HELPED.replace("self.search.factor**phase", "self.search.factor**(phase + 1)"))
    assert digests()[0] != before[0] and digests()[1] == before[1]
    (lab / "my_gates.py").write_text(HELPED)
    assert digests() == before
    (lab / "my_help.py").write_text("HALF_OPEN = 1.0\n")
    assert digests()[0] != before[0] and digests()[1] == before[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "rounds: 2",
            "round: 2",
            r"params.yaml:\d+: searches.gates.round: unknown key; did you mean 'rounds'\? \(allowed: factor, kind",
        ),
        ("rounds: 2", "rounds: two", r"searches.gates.rounds: must be a valid integer, got 'two'"),
        ("rounds: 2", "rounds: 9", r"rows\[0\]: search gates: 9 rounds need as many epochs, the recipe has 2"),
        ("my_gates:Gates", "my_gate:Gates", r"searches.gates: 'my_gate:Gates' cannot be imported: ModuleNotFoundError"),
        ("my_gates:Gates", "my_gates:Gate", r"'my_gates:Gate': the module my_gates has no Gate; did you mean 'Gates'"),
        ("my_gates:Gates", "my_gates:Tensor", r"'my_gates:Tensor' is no search"),
        ("my_gates:Gates", "my gates:Gates", r"is no import path: write module:name"),
        ("my_gates:Gates", "gates", r"'gates' is none of edge-popup, .*one of your own is named by its import path"),
    ],
)
def test_mistakes_are_one_line_each(lab: Path, old: str, new: str, message: str) -> None:
    (lab / "params.yaml").write_text(PARAMS.replace(old, new, 1))
    with pytest.raises(BenchError, match=message) as caught:
        invoke(["check"])
    assert len(str(caught.value).splitlines()) == 1


def test_the_page_shows_the_file_that_is_tested() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "searches.md").read_text()
    assert GATES.read_text() in page
    assert len(GATES.read_text().splitlines()) <= 60


def test_a_package_that_is_installed_is_a_plugin_with_all_of_its_own_modules(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    (site / "my_lab").mkdir(parents=True)
    (site / "my_lab/__init__.py").write_text("")
    (site / "my_lab/helpers.py").write_text("ONE = 1\n")
    (site / "my_lab/searches.py").write_text("import torchvision\nfrom my_lab.helpers import ONE\n")
    sys.path.insert(0, str(site))
    code = plugin_code(["my_lab.searches"])
    assert len(code.dumps) == 3, "the module, its package and the one beside it, and not torchvision"
    (site / "my_lab/helpers.py").write_text("ONE = 2\n")
    assert sorted(plugin_code(["my_lab.searches"]).dumps) != sorted(code.dumps)


@pytest.mark.parametrize("content", [b"def (:\n", b"ONE = '\xff'\n", b"ONE = 1\0\n"])
def test_a_module_that_is_no_python_is_named(lab: Path, content: bytes) -> None:
    """Such as one that a plug-in imports in a function, so that nothing has noticed it before."""
    (lab / "my_help.py").write_bytes(content)
    with pytest.raises(BenchError, match=r"the plug-in my_help cannot be read: \w+Error: "):
        plugin_code(["my_gates"])
