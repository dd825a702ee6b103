"""DVC: the generated files follow params.yaml, and a change re-runs what depends on it and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slt_bench.experiment.load import load_experiments
from stages.plan import pipeline_files
from tests.experiment.test_params import GOOD

ROOT = Path(__file__).parent.parent.parent


def test_the_generated_files_follow_params() -> None:
    files = pipeline_files(load_experiments(ROOT / "params.yaml"))
    for path, content in files.items():
        assert (ROOT / path).read_text() == content, "run `python -m stages.plan`"


def test_a_cell_that_two_tables_share_is_there_once_whichever_names_it_first(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    start = GOOD.index("  one:")
    two = GOOD[start:].replace("  one:", "  two:").replace("sparsity: [0.3, 0.5]", "sparsity: [0.5, 0.7]")
    file.write_text(GOOD + two)
    files = pipeline_files(load_experiments(file))
    file.write_text(GOOD[:start] + two + GOOD[start:])
    assert pipeline_files(load_experiments(file)) == files
    cell = "digits_tiny_dense_ep_quick_s50_seed0"
    assert files[Path("pipelines/cells/digits_tiny_dense_ep/cells.json")].count(f'"{cell}"') == 1
    for table in ("one", "two"):
        assert f"{cell}/search.json" in files[Path(f"pipelines/tables/{table}/dvc.yaml")]


def test_a_cell_that_takes_its_roles_from_a_ticket_waits_for_it(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    source = "{prune_ratio: 0.5, layout: from_ticket, ticket: {search: ep, sparsity: 0.5}}"
    file.write_text(GOOD.replace("{search: ep, sparsity: [0.3, 0.5]}", f"{{search: training, source: {source}}}"))
    files = pipeline_files(load_experiments(file))
    heir, parent = "digits_tiny_p50-as-dense-ep-quick-s50_training_quick_s50_seed0", "digits_tiny_dense_ep_quick_s50_seed0"
    assert f'"{parent}"' in files[Path("pipelines/cells/digits_tiny_dense_ep/cells.json")]
    group = Path("pipelines/cells/digits_tiny_from-ticket_training")
    assert next(iter(json.loads(files[group / "cells.json"])["heirs"])) == heir
    pipeline = files[group / "dvc.yaml"]
    assert f"ticket: {parent}" in pipeline and "outputs/cells/${item.ticket}/search.json" in pipeline
    report = files[Path("pipelines/tables/one/dvc.yaml")]
    assert heir in report


@pytest.fixture
def clone(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A copy of the project with a small table in place of its own; always at one place, since numba compiles anew for each."""
    path = tmp_path_factory.getbasetemp() / "clone"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    shutil.copy(empty_store, path / "mlflow.db")
    for name in ("slt_bench", "stages", ".dvc/config", "dvc.yaml", ".dvcignore"):
        source, target = ROOT / name, path / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    (path / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    rows = GOOD.index("      - {search: training}")
    table = "      - {search: training}\n      - {search: ep, sparsity: 0.5}\n"
    (path / "params.yaml").write_text(GOOD[:rows].replace("seeds: [0, 1]", "seeds: [0]") + table)
    stages = (path / "dvc.yaml").read_text()
    (path / "dvc.yaml").write_text(stages[: stages.index("  demo:")].rstrip() + "\n")
    return path


def dvc(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(clone)}
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=clone, env=environment, capture_output=True, text=True)


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
    return [line.split("'")[1].rpartition("dvc.yaml:")[2] for line in lines]


@pytest.mark.slow
def test_from_nothing_to_a_table_and_only_what_changed_again(clone: Path) -> None:
    assert "table one is no target yet; add to the stages of dvc.yaml" in dvc(clone, "repro", "plan").stderr
    target = "  one:\n    cmd: cat outputs/tables/one/table.md\n    deps: [outputs/tables/one]\n"
    (clone / "dvc.yaml").write_text((clone / "dvc.yaml").read_text() + target)
    first = dvc(clone, "repro", "plan")
    assert first.returncode != 0 and "pipelines/ now follows it: run the same command again" in first.stderr

    whole = dvc(clone, "repro", "one")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    training, ep = "digits_tiny_dense_training_quick_s0_seed0", "digits_tiny_dense_ep_quick_s50_seed0"
    assert sorted(ran(whole)) == sorted(
        ["plan", "prepare-digits", f"cell@{training}", f"cell@{ep}", "report", "one"]
    )  # fmt: skip
    assert "| edge popup" in whole.stdout
    assert ran(dvc(clone, "repro", "one")) == []
    assert "metrics.json" in dvc(clone, "metrics", "show", "--md").stdout

    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("      - {search: ep, sparsity: 0.5}", "      - {search: ep, sparsity: 0.6}"))
    asked = dvc(clone, "repro", "one")
    assert asked.returncode != 0 and "run the same command again" in asked.stderr and ran(asked) == ["plan"]
    again = dvc(clone, "repro", "one")
    other = ep.replace("s50", "s60")
    assert ran(again) == ["plan", f"cell@{other}", "report", "one"], again.stderr

    module = clone / "slt_bench/search/trainer.py"
    module.write_text(module.read_text() + "\n# a remark\n")
    assert ran(dvc(clone, "repro", "one")) == ["plan"]


def slt_bench(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "slt_bench", *arguments]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=300)


def targeted(clone: Path) -> Path:
    target = "  one:\n    cmd: cat outputs/tables/one/table.md\n    deps: [outputs/tables/one]\n"
    (clone / "dvc.yaml").write_text((clone / "dvc.yaml").read_text() + target)
    return clone


@pytest.mark.slow
def test_what_ran_without_dvc_is_dvcs_afterwards(clone: Path) -> None:
    ended = slt_bench(targeted(clone), "run", "one", "--jobs", "2")
    assert ended.returncode == 0 and "[2/2]" in ended.stdout, ended.stdout + ended.stderr
    assert "| edge popup" in ended.stdout  # the table itself
    assert "up to date" in dvc(clone, "status").stdout
    assert ran(dvc(clone, "repro", "one")) == []
    assert "2 of 2 cells are done already" in slt_bench(clone, "run", "one").stdout

    params = clone / "params.yaml"  # a change is seen by both, and the way back is in the cache
    params.write_text(params.read_text().replace("sparsity: 0.5}", "sparsity: 0.6}"))
    ended = slt_bench(clone, "run", "one", "--jobs", "2")
    assert "1 of 2 cells are done already" in ended.stdout and "[2/2]" in ended.stdout
    assert ran(dvc(clone, "repro", "one")) == []
    shutil.rmtree(clone / "outputs")
    restored = slt_bench(clone, "run", "one")
    assert "2 cells restored from DVC's cache" in restored.stdout and "[1/2]" not in restored.stdout, restored.stdout


@pytest.mark.slow
def test_two_machines_share_results_through_a_remote_and_neither_searches_twice(clone: Path, tmp_path: Path) -> None:
    remote = tmp_path.parent / f"{tmp_path.name}-remote"
    assert dvc(targeted(clone), "remote", "add", "--default", "shared", str(remote)).returncode == 0
    other = tmp_path.parent / f"{tmp_path.name}-other"
    shutil.copytree(clone, other)
    for machine, part in ((clone, "1/2"), (other, "2/2")):
        ended = slt_bench(machine, "run", "one", "--part", part)
        assert ended.returncode == 0 and "[1/1]" in ended.stdout, ended.stdout + ended.stderr
        assert dvc(machine, "push", "--run-cache").returncode == 0
    for machine in (clone, other):
        ended = slt_bench(machine, "run", "one")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "1 cells restored from DVC's cache" in ended.stdout or "is done already" in ended.stdout
        assert "[1/2]" not in ended.stdout and "[2/2]" not in ended.stdout  # nothing was searched
    tickets = [sorted((machine / "outputs/cells").glob("*/ticket.safetensors")) for machine in (clone, other)]
    assert [path.read_bytes() for path in tickets[0]] == [path.read_bytes() for path in tickets[1]] and len(tickets[0]) == 2
