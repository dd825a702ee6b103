"""params.yaml, with anything in it: parameters, or one line for each mistake that names the file and the line; soon."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from slt_bench.common.errors import BenchError
from slt_bench.common.yaml.reader import read_yaml
from slt_bench.experiment.load import load_experiments
from slt_bench.params.tables import Params
from tests.fuzz.harness import attempt, fuzzed

WHOLE = """\
machine: {processes: 1, checkpoint_minutes: 2.5}
datasets:
  digits: &digits {images: {source: digits, validation: 0.2}, mean: [0.3, 0.3, 0.3], std: [0.4, 0.4, 0.4]}
  own: {<<: *digits, images: {source: image_folder, path: pictures, size: 16}, flip: true}
networks: {tiny: {kind: conv4, width: 0.125}, tinier: {kind: conv2, width: 0.125, batch_norm: false}}
recipes:
  quick: {epochs: 4, batch_size: 64, learning_rate: 0.1, weight_decay: 1e-4, scale: dynamic}
searches:
  ep: {kind: edge-popup}
  iep: {kind: iterative-edge-popup, iterations: 2}
  kept: {kind: iterative-edge-popup, keep: 0.5, epochs: per_iteration, space: hard, scores: rewound}
  training: {kind: weight-training}
tables:
  one:
    title: "One \\u2013 and only"
    note: text
    dataset: digits
    network: tiny
    recipe: quick
    seeds: &seeds [0, 1]
    rows:
      - {id: dense, search: training}
      - {id: ep, label: ours, search: ep, sparsity: [0.3, 0.5], published: null}
      - {id: both, search: [ep, iep], source: {prune_ratio: 0.1, lock_ratio: 0.2, layout: epl, lock_rule: joint}, sparsity: 0.5}
      - {search: kept, source: {freezing_ratio: [0.2, 0.4], prune_share: 1, layout: [epl, erk]}, free_kept: 0.5, seeds: *seeds}
      - search: ep
        sparsity: 0.6
        source: {prune_ratio: 0.4, layout: from_ticket, ticket: {search: iep, sparsity: 0.5, seed: 3}}
    claims:
      better: {text: Frozen is better., of: {row: both, sparsity: 0.5}, over: {row: ep, sparsity: 0.5}}
  one-small: {like: one, dataset: digits, seeds: [4], networks: {tiny: tinier}}
"""
BOMB = "\nx0: &x0 [y]\n" + "".join(f"x{n}: &x{n} [{f'*x{n - 1}, ' * 9}]\n" for n in range(1, 9))
NASTY = st.sampled_from(
    ["&a ", "*a", "*digits", "&digits ", "<<: *digits", "<<: [*digits, *digits]", "<<: *seeds", "<<: 3", "!!int x", "!!set {a}",
     "! ", "!x ", "? ", "? [a, b]", "~: 3", ": 3", "[a]: 1", "{a: b}: 1", "null", "~", "true", "yes", "2024-13-45", "=", BOMB,
     "1e400", "-1e400", "1e-400", ".inf", "-.inf", ".nan", "0x1F", "0o17", "0b11", "1_000", "9" * 5000, "1" + "0" * 60, "3.0",
     "-1", "1e999999999", "[" * 300, "{a: " * 300, "- " * 300, "]" * 9, "}", "x" * 5000, '"\\ud800"', '"\\0"', '"\\x85"',
     '"\\UFFFFFFFF"', '"a\\nb"', "'", '"', "|\n", ">-\n", "---\n", "...\n", "%YAML 1.1\n---\n", "%YAML 1.3\n---\n", "%TAG ! x",
     "\t", "\n", "\r", "\n  ", "\n    ", "\0", "\x1b", "\x85", "\u2028", "\ufeff", "é", "\U0001f600", "# ", " #", "@", "`", "%",
     "http://x:1", "a:b", "a: b", ", ", ": ", "- ", "quick:", "epochs: 1, ", "kind: edge-popup, ", "rows:", "seeds: [],"]
)  # fmt: skip
LINE = re.compile(r":(\d+): [^\n]{1,500}| is empty|: and [\d,]+ more mistakes")
NAMES = ("one", "ep", "quick", "kind", "epochs", "1", "null", "<<", "", "a\nb", "x" * 400)
NUMBERS = (0, 1, -1, 2, 2**31, 2**64, 10**30, 10**200, 0.5, 1 - 2**-53, 1e308, 5e-324)
LONG = st.builds(lambda item, times: [item] * times, st.sampled_from([0, 0.5, "ep", "epl"]), st.sampled_from([20, 300]))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(NUMBERS + NAMES) | LONG
VALUES = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=4), below, max_size=3), max_leaves=6
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("params") / "params.yaml"


def read(path: Path) -> Params:
    """The parameters; a refusal must be lines that each name the file, and the line of what is wrong."""
    try:
        return load_experiments(path).params
    except BenchError as error:
        for told in str(error).split("\n"):
            found = LINE.fullmatch(told.removeprefix(str(path)))
            assert found and told.startswith(str(path)) and told.isprintable(), told
            assert int(found[1] or 1) <= len(path.read_bytes().splitlines()) + 1, told
        raise


def check(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    params = attempt(lambda: read(path))
    pure = attempt(lambda: read_yaml(path, pure=True))
    if params is not None and pure is not None:
        assert Params.model_validate(pure.value) == params, "the two parsers read the same"


def test_the_file_that_is_edited_is_whole(file: Path) -> None:
    file.write_text(WHOLE)
    assert len(read(file).tables) == 2


@fuzzed
@given(st.data())
def test_any_bytes_changed_cut_or_added(file: Path, data: st.DataObject) -> None:
    changed = bytearray(WHOLE.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(changed) - 1)))
        changed[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=4) | st.text(max_size=4).map(str.encode))
    check(file, bytes(changed))


@fuzzed
@given(st.data())
def test_any_lines_moved_doubled_or_left_out(file: Path, data: st.DataObject) -> None:
    lines = WHOLE.splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 3))):
        at, to = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        how = data.draw(st.sampled_from(["move", "double", "leave out", "indent"]))
        line = lines[at] if how == "double" else lines.pop(at)
        if how == "indent":
            lines.insert(at, f"  {line}")
        elif how != "leave out":
            lines.insert(to, line)
    check(file, "".join(lines).encode())


@fuzzed
@given(st.data())
def test_any_construct_of_yaml_anywhere(file: Path, data: st.DataObject) -> None:
    text = WHOLE
    for _ in range(data.draw(st.sampled_from([1, 1, 2, 3]))):
        spots = [each.span() for each in re.finditer(r"[^\s,:\[\]{}]+", text)] or [(0, 0)]
        start, end = spots[data.draw(st.integers(0, len(spots) - 1))]
        keep = data.draw(st.sampled_from(["instead", "instead", "before", "behind"]))
        text = text[: end if keep == "behind" else start] + data.draw(NASTY) + text[start if keep == "before" else end :]
    check(file, text.encode())


def inside(node: Any) -> list[tuple[Any, Any]]:
    """Every dict or list in a value, with each of its keys."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    return [(node, key) for key in keys] + [found for key in keys for found in inside(node[key])]


def edit(holder: Any, key: Any, how: str, value: Any, name: str) -> None:
    """One change to what a dict or list holds."""
    if how == "replace":
        holder[key] = value
    elif how == "remove":
        del holder[key]
    elif isinstance(holder, list):
        holder.insert(key, value)
    else:
        holder[name] = holder.pop(key) if how == "rename" else value


def dumped(value: Any) -> bytes:
    stream = io.BytesIO()
    YAML(typ="safe").dump(value, stream)
    return stream.getvalue()


@fuzzed
@given(st.data())
def test_any_values_changed_renamed_or_added(file: Path, data: st.DataObject) -> None:
    file.write_text(WHOLE)
    value = read_yaml(file).value
    for _ in range(data.draw(st.integers(1, 3))):
        places = inside(value)
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        other, at = places[data.draw(st.integers(0, len(places) - 1))]
        how = data.draw(st.sampled_from(["replace", "remove", "rename", "add"]))
        new = data.draw(VALUES | st.just(copy.deepcopy(other[at])))
        edit(holder, key, how, new, data.draw(st.text(max_size=4) | st.sampled_from(NAMES)))
    check(file, dumped(value))
    again = attempt(lambda: read_yaml(file))
    assert again is None or json.dumps(again.value, sort_keys=True) == json.dumps(value, sort_keys=True), (
        "read as it was dumped"
    )


@fuzzed
@given(st.data())
def test_any_other_numbers_and_names(file: Path, data: st.DataObject) -> None:
    file.write_text(WHOLE)
    value = read_yaml(file).value
    leaves = [(holder, key) for holder, key in inside(value) if isinstance(holder[key], int | float | str)]
    names = [holder[key] for holder, key in leaves if isinstance(holder[key], str)]
    numbers = st.integers(0, 100) | st.integers(0, 20).map(lambda n: n / 20) | st.floats(0, 1) | st.sampled_from(NUMBERS)
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = leaves[data.draw(st.integers(0, len(leaves) - 1))]
        of_its_kind = st.sampled_from(names) if isinstance(holder[key], str) else numbers
        holder[key] = data.draw(st.lists(of_its_kind, min_size=1, max_size=40) | of_its_kind)
    check(file, dumped(value))
