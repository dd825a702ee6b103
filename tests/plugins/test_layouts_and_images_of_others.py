"""Layouts and sources of images of anybody's: from params.yaml to an evaluated ticket, or refused with their name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slt_bench import load_ticket
from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.data.manifest import check_manifest, described, read_manifest
from slt_bench.data.sources.registry import load_images
from slt_bench.data.sources.splits import ImageSet
from slt_bench.experiment.load import load_experiments
from slt_bench.networks.budget import freeze
from slt_bench.networks.layouts import spread
from slt_bench.params.datasets import Images
from slt_bench.params.sources import Source
from slt_bench.run.datasets import prepare_dataset
from slt_bench.run.evaluate import evaluate
from slt_bench.search.run import search
from slt_bench.ticket.file import read_ticket
from tests.experiment.test_params import GOOD
from tests.plugins import images as sources

SHAPES = [(8, 3, 3, 3), (8, 8, 3, 3), (10, 8)]
PARAMS = """\
datasets:
  tiles: {images: {source: 'my_project_lab:tiles', options: {count: 120}}, mean: [0.5, 0.5, 0.5], std: [0.3, 0.3, 0.3]}
networks:
  tiny: {kind: conv2, width: 0.125}
recipes:
  quick: {epochs: 2, batch_size: 16, learning_rate: 0.1}
searches:
  ep: {kind: edge-popup}
tables:
  one:
    title: One
    dataset: tiles
    network: tiny
    recipe: quick
    seeds: [0]
    rows:
      - search: ep
        source: {prune_ratio: 0.2, lock_ratio: 0.2, layout: 'my_project_lab:even', lock_rule: joint}
        sparsity: 0.5
"""
LAB = "from tests.plugins.images import tiles\nfrom tests.plugins.layouts import even\n"


def test_from_params_to_an_evaluated_ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    Path("my_project_lab.py").write_text(LAB)
    experiments = load_experiments()
    (cell,) = experiments.tables["one"].cells
    assert cell.id == "tiles_tiny_p20l20-my_project_lab-even_ep_quick_s50_seed0"
    assert "my_project_lab:even" in cell.code and str(cell.source).endswith("(my_project_lab:even)")
    prepare_dataset(experiments, "tiles")
    manifest = read_manifest(paths.dataset_dir("tiles"))
    assert manifest.images["options"] == {"count": 120} and manifest.classes == list("abcd")
    search(cell)
    assert evaluate(cell.directory, paths.dataset_dir("tiles"))["top1"] > 25
    path = cell.directory / "ticket.safetensors"
    assert read_ticket(path).ticket.spec.source.layout == "my_project_lab:even"
    load_ticket(path)

    other = cell.dataset.images.model_copy(update={"options": {"count": 100}})
    with pytest.raises(BenchError, match=r"with options \{'count': 120\} instead of \{'count': 100\}"):
        check_manifest(manifest, other, "tiles")


def test_sources_of_ours_are_described_as_before() -> None:
    assert "options" not in described(Images(source="digits"))
    assert "options" not in Images(source="digits").model_dump()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("of_one_layer", r"gives shares of shape \[1\] for 3 layers"),
        ("too_many", "keeps .* edges of layer 3"),
        ("nothing", "keeps nan of the 216 edges of layer 1"),
        ("too_few", "keeps .* edges in all instead of 436"),
        ("failing", "fails: ZeroDivisionError: no gradient"),
        ("missing", "fails: ValueError: .* has no missing"),
    ],
)
def test_wrong_shares_are_refused(name: str, reason: str) -> None:
    with pytest.raises(BenchError, match=f"^layout tests.plugins.layouts:{name} {reason}"):
        spread(f"tests.plugins.layouts:{name}", SHAPES, 436)


def test_a_layout_that_takes_away_at_a_higher_density_is_refused() -> None:
    with pytest.raises(BenchError, match="has to give every layer more at a higher density"):
        freeze(SHAPES, 0.3, 0.4, "tests.plugins.layouts:falling", "joint")


def test_a_layout_like_one_of_ours_gives_the_same() -> None:
    foreign, ours = (freeze(SHAPES, 0.3, 0.4, name, "mirrored") for name in ("tests.plugins.layouts:even", "uniform"))
    assert (foreign.pruned == ours.pruned).all() and (foreign.locked == ours.locked).all()


def test_the_id_of_a_source_is_the_name_of_a_folder() -> None:
    assert Source(prune_ratio=0.5, layout="tests.plugins.layouts:even").id == "p50-tests-plugins-layouts-even"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layout: epl", "layout: elp", "must be 'epl', 'erk', 'igq', 'uniform' or 'from_ticket', or module:name of your own; "
         "did you mean 'epl'?, got 'elp'"),
        ("layout: epl", "layout: 'math:pi'", "'math:pi' is no layout: a function is needed"),
        ("layout: epl", "layout: 'no_lab:x'", "'no_lab:x' cannot be imported: ModuleNotFoundError: No module named 'no_lab'"),
        ("source: digits", "source: digitss", "must be 'digits', 'cifar10', 'cifar100', 'fashion_mnist', 'image_folder', "
         "'imagenet', 'imagenet_sample' or 'imagenette', or module:name of your own; did you mean 'digits'?, got 'digitss'"),
        ("source: digits", "source: 'math:pi'", "'math:pi' is no source of images: a function is needed"),
        ("source: digits", "source: digits, options: {a: 1}", "options are for a source of your own, module:name"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BenchError) as caught:
        load_experiments(file)
    (line,) = str(caught.value).splitlines()
    assert line.endswith(f": {message}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"whole": 3}, "an ImageSet is needed, not a int"),
        ({"whole": ImageSet(3, 3, ["a"], "x")}, "train: Arrays or Files are needed, not a int"),  # type: ignore[arg-type]
        ({"images": np.zeros((4, 8, 8, 3))}, "test: images are no uint8 array, but float64"),
        ({"images": np.zeros((4, 8, 8), np.uint8)}, r"test: images have shape \[4, 8, 8\]"),
        ({"labels": np.arange(3)}, "test: there are 4 images and 3 labels"),
        ({"labels": np.arange(4.0)}, "test: labels are no int64"),
        ({"labels": np.arange(1, 5)}, "test: labels go from 1 to 4, there are 4 classes"),
        ({"classes": ["a", "b", "c", "c"]}, "a class has the name of another"),
        ({"classes": [1, 2, 3, 4]}, "classes is no list of names"),
    ],
)
def test_what_a_source_gives_is_checked(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], reason: str) -> None:
    monkeypatch.setattr(sources, "CHANGES", changes)
    with pytest.raises(BenchError, match=f"^images of tests.plugins.images:odd: {reason}"):
        load_images(Images(source="tests.plugins.images:odd"))


def test_size_and_failures_are_told_with_the_source() -> None:
    with pytest.raises(BenchError, match="odd: train: images have 8 x 8 pixels instead of 16 x 16"):
        load_images(Images(source="tests.plugins.images:odd", size=16))
    with pytest.raises(BenchError, match="failing: OSError: the disk is away"):
        load_images(Images(source="tests.plugins.images:failing"))


def test_a_source_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BenchError, match="there is no source of images elsewhere"):
        load_images(Images.model_construct(source="elsewhere", path=None, options={}))
