"""results before|after CELL ... | report TABLE ...: DVC before and after cells that were run without it (`slt-bench run`).

before    code.json and datasets as DVC has them; cells whose results DVC's run cache holds are restored, nothing is searched
after     results that are there become DVC's, as after `dvc repro`: locks, cache, run cache
report    the rest of the table
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.stage import PipelineStage
from dvc.stage.cache import RunCacheNotFoundError

from slt_bench.common.errors import BenchError, run_command
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.grid import cells_of
from slt_bench.params.tables import Params
from slt_bench.records.standing import is_done
from slt_bench.run.tasks import load
from stages.plan import update


def before(ids: set[str]) -> None:
    """Bring up to date what cells depend on, and restore what DVC has."""
    params = load()
    if update(params):
        print("pipelines: brought up to date with params.yaml")
    cells = _cells(params, ids)
    names = {cell.dataset_name for cell in cells.values()}
    _repro("plan", *(f"pipelines/data/datasets/dvc.yaml:prepare-{name}" for name in params.datasets if name in names))
    with _stages(cells) as stages:
        repo = stages[0][1].repo
        shared = repo.config["core"].get("remote")
        if shared:  # what other machines have pushed: `dvc push --run-cache`
            repo.stage_cache.pull(shared)
        restored = [stage for cell, stage in stages if not is_done(cell) and _restore(stage, bool(shared))]
        _take(restored)
    if restored:
        print(f"{len(restored)} cells restored from DVC's cache")


def after(ids: set[str]) -> None:
    """Hand results over to DVC, which otherwise would run the cells again."""
    with _stages(_cells(load(), ids)) as stages:
        _take([stage for cell, stage in stages if is_done(cell) and stage.changed()])


def _cells(params: Params, ids: set[str]) -> dict[str, Cell]:
    return {cell_id: cell for cell_id, cell in cells_of(params, params.tables).items() if cell_id in ids}


@contextmanager
def _stages(cells: dict[str, Cell]) -> Iterator[list[tuple[Cell, PipelineStage]]]:
    """The stages of these cells, those that need another's ticket last, while DVC's lock is held."""
    with Repo(_wait_for_lock=True) as repo, lock_repo(repo):
        calls = [(stage, str(stage.cmd).split()) for stage in repo.index.stages]
        found = [(stage, call[-1]) for stage, call in calls if call[:3] == ["python", "-m", "stages.cell"]]
        stages = [(cells[cell_id], stage) for stage, cell_id in found if cell_id in cells]
        yield sorted(stages, key=lambda pair: pair[0].source.ticket is not None)


def _restore(stage: PipelineStage, pull: bool) -> bool:
    if not all(dep.exists for dep in stage.deps):
        return False
    try:
        stage.repo.stage_cache.restore(stage, pull=pull)
    except RunCacheNotFoundError:
        return False
    return True


def _take(stages: list[PipelineStage]) -> None:
    """What `dvc commit --force` does, each lock written once."""
    for _, group in groupby(sorted(stages, key=lambda stage: stage.path), key=lambda stage: stage.path):
        members = list(group)
        for stage in members:
            stage.save()
            stage.commit()
        members[0].dvcfile.dump_stages(members, update_pipeline=False)


def _repro(*targets: str) -> None:
    if subprocess.run(["dvc", "--wait-for-lock", "repro", "--quiet", *targets]).returncode:
        raise BenchError(f"dvc repro {' '.join(targets)} failed: see above")


def main() -> None:
    """One of the three."""
    step, *names = sys.argv[1:]
    if step == "report":
        _repro(*names)
        return
    try:
        {"before": before, "after": after}[step](set(names))
    except DvcException as error:
        raise BenchError(f"DVC: {error}") from error


if __name__ == "__main__":
    run_command(main)
