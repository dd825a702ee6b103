"""Networks of anybody's: searched, read back and resumed as ours are, or refused with the reason."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from slt_bench import load_ticket
from slt_bench.cli.commands import invoke
from slt_bench.common import paths
from slt_bench.common.errors import BenchError, Interrupted
from slt_bench.common.plugins import import_plugin
from slt_bench.compute.world import ALONE
from slt_bench.data.manifest import read_manifest
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.load import load_experiments
from slt_bench.networks import registry
from slt_bench.params.networks import AnyNetwork, FactoryNetwork, FoldedNetwork, Network
from slt_bench.params.sources import Source
from slt_bench.run.evaluate import evaluate
from slt_bench.search.run import search
from slt_bench.search.steps.microbatch import MicrobatchStatistics
from slt_bench.ticket.describe import describe
from slt_bench.ticket.file import read_ticket
from slt_bench.ticket.ticket import Spec
from tests.conftest import FROZEN
from tests.experiment.test_params import GOOD
from tests.search.test_resume import StopAfter

HERE = "tests.plugins.nets:"
VIT = FactoryNetwork(kind=f"{HERE}vit", options={"depth": 2})
RECIPE = {"epochs": 2, "batch_size": 16, "learning_rate": 1.0, "weight_init": "signed_kaiming_constant"}
FILES = ("ticket.safetensors", "last.safetensors", "history.csv")


def net(name: str, **options: Any) -> FactoryNetwork:
    return FactoryNetwork(kind=HERE + name, options=options)


def built(name: str, image_size: int = 8) -> nn.Module:
    return registry.architecture(net(name), image_size, 10)


@pytest.mark.parametrize("source", [Source(), FROZEN])
def test_a_transformer_is_searched_evaluated_and_read_back(
    project: Path, make_cell: Callable[..., Cell], source: Source
) -> None:
    cell = make_cell(network_name="vit", network=VIT, source=source, recipe=RECIPE)
    search(cell)
    metrics = evaluate(cell.directory, project / "data/digits")
    assert metrics["top1"] > 15 and metrics["sparsity"] == pytest.approx(0.5, abs=1e-4)

    path = cell.directory / "ticket.safetensors"
    file, again = read_ticket(path), load_ticket(path)
    assert file.ticket.spec.network == VIT and f"{VIT.kind}, depth 2, 10 classes" in describe(file)
    assert describe(file).endswith(f"matches; the code of {VIT.kind} is not in the file")
    images = torch.randn(4, 3, 8, 8)
    logits = file.network(images)
    assert torch.equal(logits, again(images)) and logits.shape == (4, 10)
    assert torch.equal(logits, read_ticket(path).network(images))
    assert all(isinstance(part, nn.Parameter) and part.device.type == "cpu" for part in again.parameters())


def test_the_check_of_parameters_tries_each_network(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a table of their cells fails one by one."""
    assert "  tiny: " in GOOD
    line = next(line for line in GOOD.splitlines() if line.startswith("  tiny: "))
    for name in ("vit, options: {depth: 1}", "parametrized"):
        factory, _, options = name.partition(",")
        network = f'  tiny: {{kind: "{HERE}{factory}"{"," + options if options else ""}}}'
        (project / "params.yaml").write_text(GOOD.replace(line, network))
        if options:
            invoke(["check"])
            continue
        with pytest.raises(BenchError, match=r"^params\.yaml: networks\.tiny: .*parametrized.*neither") as told:
            invoke(["check"])
        assert "\n" not in str(told.value)


def test_a_search_that_is_stopped_ends_with_the_same_bits(project: Path, make_cell: Callable[..., Cell]) -> None:
    cell = make_cell(network_name="vit", network=VIT, source=FROZEN, recipe=RECIPE)
    search(cell)
    whole = {name: (cell.directory / name).read_bytes() for name in FILES}
    shutil.rmtree(cell.directory)
    shutil.rmtree(paths.state_dir(cell.id, cell.identity))
    with pytest.raises(Interrupted):
        search(cell, tracker=StopAfter(1))
    torch.rand(3)  # numbers of somebody else's
    search(cell)
    assert {name: (cell.directory / name).read_bytes() for name in FILES} == whole


def test_edges_biases_and_scales() -> None:
    module = built("Flat")
    layers = registry.searchable_layers(module)
    assert [layer.name for layer in layers] == ["rows.weight", "cube.weight", "head.weight"]
    assert {name for name, _ in module.named_parameters()} == {layer.name for layer in layers}
    assert all(parameter.is_meta for parameter in module.parameters())
    assert registry.channels(module) == 8 + 2 and len(registry.batch_norms(module)) == 2
    vector = torch.arange(layers[-1].stop, dtype=torch.float32)
    assert torch.equal(layers[0].view(vector).flatten(), vector[: layers[0].size])  # [out, in, length] as it is


def test_left_out_is_as_good_as_a_bias_of_0_and_a_scale_of_1() -> None:
    from tests.plugins.nets import VisionTransformer

    whole = VisionTransformer(8, 10, 2)
    for name, parameter in whole.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    module = registry.architecture(VIT, 8, 10)
    weights: dict[str, torch.Tensor] = {
        layer.name: whole.get_parameter(layer.name) for layer in registry.searchable_layers(module)
    }
    images = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(functional_call(module, weights, (images,)), whole(images))


def test_micro_batches_have_statistics_of_every_kind_of_batch_norm() -> None:
    module = built("Flat")
    weights = {layer.name: torch.randn(layer.shape) for layer in registry.searchable_layers(module)}
    statistics = MicrobatchStatistics(module, 2, ALONE, torch.device("cpu"))
    for microbatch in (0, 1):
        statistics.enter(microbatch)
        functional_call(module, weights, (torch.randn(4, 3, 8, 8),))
        statistics.leave(microbatch)
    one, other = statistics.state()
    assert one.shape == (2 * 10,) and not torch.equal(one[:8], other[:8]) and not torch.equal(one[8:10], other[8:10])
    statistics.merge()
    assert torch.equal(registry.batch_norm_statistics(module)[0], ((one + other) / 2)[:10])


def test_building_leaves_random_numbers_as_they_were() -> None:
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    wanted = torch.rand(2), np.random.rand(2), random.random()
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    registry.architecture(net("vit", depth=1, dim=16), 8, 10)
    assert torch.equal(torch.rand(2), wanted[0]) and (np.random.rand(2) == wanted[1]).all() and random.random() == wanted[2]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ClassToken", "the parameter token is no weight of a convolution or linear layer"),
        ("SelfAttention", "the parameter attention.in_proj_weight is no weight"),
        ("embedding", r"the parameter before.1.weight is no weight"),
        ("transposed", "the parameter before.weight is no weight"),
        ("parametrized", "the parameter head.parametrizations.weight.original0 is no weight"),
        ("Tied", "head.weight and again.weight are one parameter"),
        ("Twice", "head.weight and other.weight are one parameter"),
        ("dropout", r"before \(Dropout\) draws random numbers"),
        ("leaky", r"before.1 \(RReLU\) draws random numbers"),
        ("SometimesNoise", r"the module itself \(SometimesNoise\) draws random numbers"),
        ("batch_alone", r"before \(BatchNorm2d\) has no running statistics"),
        ("cumulative", r"before \(BatchNorm2d\) has momentum None"),
        ("instances", r"before \(InstanceNorm2d\) has running statistics that no ticket holds"),
        ("lazy", r"before \(LazyConv2d\) is lazy"),
        ("RandomTable", "the buffer table is not the same in two builds"),
        ("Counts", "the buffer seen changes while it computes"),
        ("Remembers", "the same images give other logits the second time"),
        ("OwnNoise", "the same images give other logits the second time"),
        ("of_one_class_too_few", r"images \[1, 3, 8, 8\] give logits \[1, 9\] instead of \[1, 10\]"),
        ("of_images_of_32_pixels", r"images \[1, 3, 8, 8\] do not pass through it: RuntimeError: "),
        ("no_edges", "it has no convolution and no linear layer"),
        ("Perceptron", "it is a Perceptron itself: put that inside a module, so that its weight has a name"),
        ("no_module", "its factory gives a str, and no torch module"),
        ("failing", "its factory fails: RuntimeError: no weights here"),
    ],
)
def test_a_module_that_cannot_be_searched_is_refused_by_the_name_of_its_part(name: str, reason: str) -> None:
    for _ in range(2):  # a refusal is not forgotten
        with pytest.raises(BenchError, match=f"^network {HERE}{name} cannot be searched: {reason}"):
            built(name)


def test_dropout_that_drops_nothing_is_taken() -> None:
    assert registry.searchable_layers(built("no_dropout"))[-1].stop == 3 * 64 * 10


def with_network(tmp_path: Path, network: str) -> Path:
    file = tmp_path / "params.yaml"
    line = next(line for line in GOOD.splitlines() if line.strip().startswith("tiny:"))
    file.write_text(GOOD.replace(line, f"  tiny: {network}"))
    return file


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("{kind: 'tests.plugins.nets:vit', options: {depht: 2}}",
         "tiny.options: 'tests.plugins.nets:vit' has no option depht; did you mean 'depth'? (allowed: depth, dim)"),
        ("{kind: 'tests.plugins.nets:vit'}", "tiny: 'tests.plugins.nets:vit' needs the option depth (allowed: depth, dim)"),
        ("{kind: 'tests.plugins.nets:vit', options: {depth: 2, classes: 3}}",
         "tiny.options: classes is no option: the dataset says it"),
        ("{kind: 'tests.plugins.nets:vit', options: {depth: 2}, width: 2}", "tiny.width: unknown key (allowed: kind, options)"),
        ("{kind: 'tests.plugins.nets:vit', options: {depth: 2}, optoins: 2}",
         "tiny.optoins: unknown key; did you mean 'options'? (allowed: kind, options)"),
        ("{kind: 'tests.plugins.nets:vitt', options: {depth: 2}}",
         "tiny.kind: 'tests.plugins.nets:vitt': the module tests.plugins.nets has no vitt; did you mean 'vit'?"),
        ("{kind: 'my_lab.nets:vit'}",
         "tiny.kind: 'my_lab.nets:vit' cannot be imported: ModuleNotFoundError: No module named 'my_lab'"),
        ("{kind: 'tests.plugins.nets:HERE'}",
         "tiny.kind: 'tests.plugins.nets:HERE': the module tests.plugins.nets has no HERE"),
        ("{kind: 'math:pi'}", "tiny.kind: 'math:pi' is no factory of networks: a function or a class is needed"),
        ("{kind: 'tests.plugins.nets:of_classes_alone'}",
         "tiny: 'tests.plugins.nets:of_classes_alone' takes no image_size: a factory is called with image_size, classes and "
         "its options"),
        ("{kind: conv2, options: {depth: 2}}", "tiny.options: unknown key (allowed: batch_norm, kind, stem, width)"),
        ("{kind: resent18}", "tiny.kind: must be conv2, conv4, conv6, conv8, resnet18, resnet34, resnet50, resnet101, "
         "wide_resnet50_2, folded_resnet18, folded_resnet34, folded_resnet50, folded_resnet101, or module:name of your own; "
         "did you mean 'resnet18'?, got 'resent18'"),
        ("{kind: folded_resnet50, folded_stages: [4, 3]}", "tiny.folded_stages: must rise, got [4, 3]"),
        ("{width: 1}", "tiny.kind: is missing"),
        ("3", "tiny: must be a mapping of keys to values, got 3"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line_at_their_place(tmp_path: Path, network: str, message: str) -> None:
    with pytest.raises(BenchError) as caught:
        load_experiments(with_network(tmp_path, network))
    (line,) = str(caught.value).splitlines()
    assert line.partition(": networks.")[2] == message


def test_networks_of_ours_are_written_as_before(make_cell: Callable[..., Cell]) -> None:
    ours = make_cell(network=Network(kind="conv2", width=0.125))
    assert ours.parameters()["network"] == {"kind": "conv2", "stem": "cifar", "width": 0.125, "batch_norm": True}
    assert ours.identity == "668be4100f59" and ours.code == ("slt_bench.search.methods.edge_popup:EdgePopup",)


def test_identity_code_and_travel_of_a_cell(make_cell: Callable[..., Cell]) -> None:
    networks: list[AnyNetwork] = [VIT, net("vit", depth=3), FoldedNetwork(kind="folded_resnet18"), Network(kind="resnet18")]
    cells = [make_cell(network=network) for network in networks]
    assert len({cell.identity for cell in cells}) == len(cells)
    assert cells[0].code[1:] == (f"{HERE}vit",)
    for cell in cells:
        assert Cell.model_validate(cell.model_dump(mode="json")) == cell
        assert type(Cell.model_validate(cell.model_dump(mode="json")).network) is type(cell.network)


def test_a_ticket_is_not_trusted_to_import_what_it_names(
    project: Path, make_cell: Callable[..., Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    from slt_bench.search.start import make_spec

    content = make_spec(make_cell(network=VIT), read_manifest(project / "data/digits")).model_dump(mode="json")
    assert Spec.model_validate(content).network == VIT
    monkeypatch.setattr(sys, "path", sys.path[:])
    (project / "my_lab.py").write_text(f"from {VIT.kind.partition(':')[0]} import vit")
    named = content | {"network": VIT.model_dump(mode="json") | {"kind": "my_lab:vit"}}
    with pytest.raises(BenchError, match=r"needs the plug-in my_lab:vit.* --plugin my_lab`"):
        Spec.model_validate(named)
    assert "my_lab" not in sys.modules
    import_plugin("my_lab")
    assert str(Spec.model_validate(named).network).startswith("my_lab:vit")
    monkeypatch.delitem(sys.modules, "my_lab")
    with pytest.raises(BenchError, match="the plug-in my_labs cannot be imported: ModuleNotFoundError"):
        import_plugin("my_labs")
