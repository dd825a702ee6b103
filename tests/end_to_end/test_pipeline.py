"""DVC over params.yaml: a change runs what depends on it and nothing else, and nothing that was found is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiment.test_params import GOOD

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
ABSENT = ROOT / "tests/absent"  # MLflow has tests of its own
HEAD = GOOD[: GOOD.index("  one:")]
TABLE = """\
  one:
    title: One
    dataset: digits
    network: tiny
    recipe: quick
    seeds: [0]
    rows:
      - {search: training}
      - {search: ep, sparsity: 0.5}
"""
EP, TRAINING = "digits_tiny_dense_ep_quick_s50_seed0", "digits_tiny_dense_training_quick_s0_seed0"


@pytest.fixture
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a small table in place of its own."""
    return make_clone(tmp_path_factory)


def make_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project, always to one place, since numba compiles anew for each."""
    path = tmp_path_factory.getbasetemp() / "clone"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name in ("slt_bench", "stages", ".dvc/config", "dvc.yaml", ".dvcignore"):
        source, target = ROOT / name, path / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    (path / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    (path / "params.yaml").write_text(HEAD + TABLE)
    return path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Such a project with its table made by `slt-bench run`, to be copied, and what that said."""
    place, kept = make_clone(tmp_path_factory), tmp_path_factory.getbasetemp() / "built"
    ended = slt_bench(place, "run", "one", "--jobs", "2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shutil.copytree(place, kept)
    return kept, ended


@pytest.fixture
def finished(built: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project whose table is made."""
    path = tmp_path_factory.getbasetemp() / "clone"
    shutil.rmtree(path, ignore_errors=True)
    return shutil.copytree(built[0], path)


def dvc(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": f"{clone}{os.pathsep}{ABSENT}"}
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=clone, env=environment, capture_output=True, text=True)


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
    return [line.split("'")[1].rpartition("dvc.yaml:")[2] for line in lines]


def slt_bench(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # No `python` of this environment is on the path, as where nobody has activated it.
    environment = os.environ | {"PYTHONPATH": f"{clone}{os.pathsep}{ABSENT}", "OMP_NUM_THREADS": "1", "PATH": os.defpath}
    command = [sys.executable, "-m", "slt_bench", *arguments]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=300)


def edit(clone: Path, old: str, new: str) -> None:
    file = clone / "params.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.campaign
def test_from_nothing_to_a_table_and_only_what_changed_again(clone: Path) -> None:
    whole = dvc(clone, "repro", "table@one")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert ran(whole) == ["plan", "prepare@digits", "search@one", "table@one"]
    assert "of all 1 tables\n  2 of 2 cells are left" in whole.stdout and "edge popup" in whole.stdout
    assert ran(dvc(clone, "repro", "table@one")) == []
    assert "metrics.json" in dvc(clone, "metrics", "show", "--md").stdout

    edit(clone, "sparsity: 0.5", "sparsity: 0.6")
    again = dvc(clone, "repro", "table@one")
    assert ran(again) == ["plan", "search@one", "table@one"], again.stderr
    assert "1 of 2 cells are done already" in again.stdout and "_s60_" in again.stdout
    assert f"one declares {EP} no more; its result lies in outputs/set-aside/one" in again.stdout
    edit(clone, "sparsity: 0.6", "sparsity: 0.5")  # what was set aside is taken back
    back = dvc(clone, "repro", "table@one")
    assert "1 results are there already" in back.stdout and "[2/2]" not in back.stdout

    module = clone / "slt_bench/search/trainer.py"
    module.write_text(module.read_text() + "\n# a remark\n")
    assert ran(dvc(clone, "repro", "table@one")) == ["plan"]

    shutil.rmtree(clone / "outputs/set-aside")
    (clone / f"outputs/cells/one/{EP}/ticket.safetensors").write_bytes(b"damaged")
    (clone / f"outputs/cells/one/{TRAINING}/metrics.json").unlink()
    mended = dvc(clone, "repro", "table@one")
    assert ran(mended) == ["search@one", "table@one"] or ran(mended) == ["search@one"], mended.stdout
    assert "[2/2]" in mended.stdout and "up to date" in dvc(clone, "status", "table@one").stdout


def test_a_table_is_one_edit_and_shares_what_another_has(
    finished: Path, built: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    clone, (_, ended) = finished, built
    assert "[2/2]" in ended.stdout and "edge popup" in ended.stdout  # the table itself
    assert "up to date" in dvc(clone, "status", "table@one").stdout
    assert "all 2 cells have their results" in slt_bench(clone, "run", "one").stdout

    file = clone / "params.yaml"
    file.write_text(file.read_text() + TABLE.replace("one", "two").replace("{search: training}", "{search: ep, sparsity: 0.7}"))
    second = dvc(clone, "repro", "table@two")
    assert ran(second) == ["plan", "search@two", "table@two"], second.stdout + second.stderr
    assert "1 results are there already, in other tables" in second.stdout and "1 of 2 cells are done already" in second.stdout
    shared = [clone / f"outputs/cells/{table}/{EP}/ticket.safetensors" for table in ("one", "two")]
    assert shared[0].read_bytes() == shared[1].read_bytes()

    file.write_text(HEAD + TABLE)  # a table that is gone leaves the outputs
    gone = dvc(clone, "repro")
    assert gone.returncode == 0 and ran(gone) == ["plan", "page"], gone.stdout + gone.stderr
    assert "no table declares what lies in outputs/set-aside/two now" in gone.stdout
    assert not (clone / "outputs/cells/two").exists() and not (clone / "outputs/tables/two").exists()


@pytest.mark.campaign
def test_images_that_are_not_there_are_missed_before_anything_is_searched(finished: Path) -> None:
    clone = finished
    pixels = "mean: [0.3, 0.3, 0.3], std: [0.4, 0.4, 0.4], resolution: 64, resize: 64"
    edit(clone, "networks:", f"  imagenet: {{images: {{source: imagenet}}, {pixels}}}\nnetworks:")
    edit(clone, "      - {search: ep, sparsity: 0.5}\n", "")
    big = TABLE.replace("one", "big").replace("dataset: digits", "dataset: imagenet")
    (clone / "params.yaml").write_text((clone / "params.yaml").read_text() + big)
    ended = dvc(clone, "repro")
    assert ended.returncode != 0 and not any(name.startswith("search") for name in ran(ended)), ended.stdout
    assert "name the directory of the ImageNet release in the variable SLT_BENCH_IMAGENET" in ended.stderr
    assert "without them no table big; `dvc repro -k` makes the others" in ended.stderr
    kept = dvc(clone, "repro", "-k")
    assert "search@one" in ran(kept) and (clone / "outputs/tables/one/table.md").is_file()


@pytest.mark.campaign
def test_prepared_images_stay_where_new_ones_are_not_to_be_had(finished: Path) -> None:
    """DVC removes the outputs of a stage before it runs, unless told otherwise."""
    before = {path.name: path.read_bytes() for path in (finished / "data/digits").iterdir() if path.is_file()}
    edit(finished, "source: digits", "source: image_folder, path: nowhere, size: 8")
    failed = dvc(finished, "repro", "prepare@digits")
    assert failed.returncode and "nowhere" in failed.stdout + failed.stderr
    assert {path.name: path.read_bytes() for path in (finished / "data/digits").iterdir() if path.is_file()} == before
    edit(finished, "source: image_folder, path: nowhere, size: 8", "source: digits")
    assert "all 2 cells have their results" in slt_bench(finished, "run", "one").stdout


@pytest.mark.campaign
def test_two_machines_share_results_through_a_remote_and_half_of_a_table_too(finished: Path, tmp_path: Path) -> None:
    clone = finished
    remote, other = (tmp_path.parent / f"{tmp_path.name}-{name}" for name in ("remote", "other"))
    assert dvc(clone, "remote", "add", "--default", "shared", str(remote)).returncode == 0
    shutil.copytree(clone, other)
    for made in ("outputs", "data", ".state", ".dvc/cache"):
        shutil.rmtree(other / made)
    shutil.rmtree(clone / "outputs/cells/one" / TRAINING)  # half of the table
    assert dvc(clone, "commit", "-f", "plan", "search@one").returncode == 0
    assert dvc(clone, "push").returncode == 0
    shutil.copy(clone / "dvc.lock", other / "dvc.lock")  # by git
    pulled = dvc(other, "pull", "search@one", "prepare@digits")
    assert pulled.returncode == 0, pulled.stdout + pulled.stderr
    rest = slt_bench(other, "run", "one")
    assert "1 of 2 cells are done already" in rest.stdout and "[2/2]" in rest.stdout, rest.stdout + rest.stderr
    assert dvc(other, "push").returncode == 0
    shutil.copy(other / "dvc.lock", clone / "dvc.lock")
    assert dvc(clone, "pull", "table@one", "search@one").returncode == 0
    assert ran(dvc(clone, "repro", "table@one")) == []
    tickets = [sorted((machine / "outputs/cells/one").glob("*/ticket.safetensors")) for machine in (clone, other)]
    assert [path.read_bytes() for path in tickets[0]] == [path.read_bytes() for path in tickets[1]] and len(tickets[0]) == 2


def test_what_older_versions_left_is_named_and_not_read(clone: Path) -> None:
    (clone / "pipelines").mkdir()
    old = clone / "outputs/cells" / EP
    old.mkdir(parents=True)
    (old / "search.json").write_text("{}")
    told = dvc(clone, "repro", "plan").stdout
    assert "pipelines/ was generated by an older version and is read no more: remove it" in told
    assert f"1 results of an older version lie in outputs/cells outside of their tables, {EP} among them" in told
    assert (old / "search.json").is_file()
