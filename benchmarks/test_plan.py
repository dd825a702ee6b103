"""DVC and `slt-bench plan` over 500 cells, none of which has run: what a person waits for before anything is computed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

ROOT = Path(__file__).parent.parent
CELLS = 500
HEAD = """\
datasets:
  digits: {{images: {{source: digits}}, mean: [0.3, 0.3, 0.3], std: [0.4, 0.4, 0.4]}}
networks:
{networks}
recipes:
  quick: {{epochs: 1, batch_size: 512, learning_rate: 0.1}}
searches:
  ep: {{kind: edge-popup}}
tables:
"""
TABLE = """\
  table-{number}:
    title: Table {number}
    dataset: digits
    network: tiny-{number}
    recipe: quick
    seeds: [0, 1, 2, 3, 4]
    rows:
      - {{search: ep, sparsity: [0.5, 0.6, 0.7]}}
      - {{search: ep, source: {{prune_ratio: 0.5, layout: epl}}, sparsity: 0.7}}
      - {{search: ep, source: {{freezing_ratio: 0.4, prune_share: 0.5, layout: epl, lock_rule: joint}}, sparsity: 0.5}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty tables of 25 cells, 5 settings of 5 seeds, and one of them run."""
    root = tmp_path_factory.mktemp("many")
    for name in ("slt_bench", "stages", ".dvc/config", ".dvcignore", "dvc.yaml"):
        source, target = ROOT / name, root / name
        target.parent.mkdir(exist_ok=True)
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignore) if source.is_dir() else shutil.copy(source, target)
    (root / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    numbers = range(CELLS // 25)
    networks = "\n".join(f"  tiny-{n}: {{kind: conv2, width: {0.125 + n / 64}}}" for n in numbers)
    text = HEAD.format(networks=networks) + "".join(TABLE.format(number=n) for n in numbers)
    (root / "params.yaml").write_text(text)
    assert run(root, "-m", "slt_bench", "check").split()[3] == str(CELLS)
    run(root, "-m", "slt_bench", "run", "table-0", "--jobs", "2")
    return root


def run(root: Path, *arguments: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "dvc", "status", "-q"), ("-m", "dvc", "repro", "table@table-0"), ("-m", "dvc", "status", "table@table-0"),
        ("-m", "slt_bench", "plan"), ("-m", "slt_bench", "check"),
    ],
    ids=["status", "no-op repro", "status of a table", "plan", "check"],
)  # fmt: skip
def test_over_500_cells(benchmark: BenchmarkFixture, project: Path, arguments: tuple[str, ...]) -> None:
    def call() -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(project)}
        subprocess.run([sys.executable, *arguments], cwd=project, env=environment, capture_output=True)

    benchmark.pedantic(call, rounds=3, warmup_rounds=1)
