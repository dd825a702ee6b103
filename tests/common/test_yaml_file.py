"""YAML files: plain values with their lines, whichever parser there is; what is not plain is refused by its line."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import Any

import pytest

from slt_bench.common.errors import BenchError
from slt_bench.common.yaml.reader import read_yaml
from slt_bench.experiment.load import load_experiments
from slt_bench.params.tables import Params
from tests.fuzz.harness import within

ROOT = Path(__file__).parent.parent.parent
BOMB = "x0: &x0 [y]\n" + "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.yaml"


def both(file: Path, content: str | bytes) -> Any:
    """What a file says to libyaml (if there is any) and to the parser in Python, the same with the same lines."""
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    first, second = read_yaml(file), read_yaml(file, pure=True)
    assert repr(first.value) == repr(second.value)
    assert list(first.lines.values()) == list(second.lines.values())
    return first.value


def refused(file: Path, content: str | bytes, message: str) -> None:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    for pure in (False, True):
        with pytest.raises(BenchError) as caught, within(10):
            read_yaml(file, pure)
        shown = str(caught.value)
        assert shown.startswith(str(file)) and shown.isprintable() and len(shown) < len(str(file)) + 300, shown
        assert re.fullmatch(message, shown.removeprefix(str(file))), shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1.", 1.0), (".5", 0.5), ("-1.5E+3", -1500.0), ("+.inf", inf), ("-.INF", -inf), ("1_000.5", 1000.5),
        ("7", 7), ("-0", 0), ("010", 10), ("0o17", 15), ("0x1F", 31), ("1_000", 1000), ("9" * 30, 10**30 - 1),
        ("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None), ("'7'", "7"), ('"~"', "~"), ("|-\n  7", "7"),
        ("yes", "yes"), ("on", "on"), ("2024-13-45", "2024-13-45"), ("2024-01-01", "2024-01-01"), ("12:30:45", "12:30:45"),
        ("0b1", "0b1"), ("1__0", "1__0"), ("1e", "1e"), (".", "."), ("=", "="), ("http://a.b:1/c", "http://a.b:1/c"),
        ("[a:b, C:\\d]", ["a:b", "C:\\d"]), ("{of: a:b}", {"of": "a:b"}), ('"\\u2013\\t\\x41"', "\u2013\tA"), ("é", "é"),
        ("{7: a, 1.5: b, true: c, '~': d}", {"7": "a", "1.5": "b", "true": "c", "~": "d"}),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(file: Path, text: str, value: Any) -> None:
    assert repr(both(file, f"a: {text}\n")["a"]) == repr(value)


def test_a_value_has_the_line_in_which_it_is_written(file: Path) -> None:
    file.write_text("a: &a\n  b: 1\n  c:\n    - 2\n    - d: 3\ne: {<<: *a,\n  b: 4}\n")
    document = read_yaml(file)
    top = document.value
    assert [document.line(top, key) for key in "ae"] == [1, 6]
    assert [document.line(top["e"], key) for key in "bc"] == [7, 3]
    assert [document.line(top["e"]["c"], item) for item in (0, 1)] == [4, 5]
    assert document.line(top["e"]["c"][1], "d") == 5


def test_lines_are_right_after_much_that_was_merged_away(file: Path) -> None:
    text = "".join(f"a{n}: {{<<: {{x: 1}}, y: 2}}\nb{n}: {{\n  z: 3}}\n" for n in range(300))
    file.write_text(text)
    for pure in (False, True):
        document = read_yaml(file, pure)
        assert [document.line(document.value[f"a{n}"], "x") for n in range(300)] == [3 * n + 1 for n in range(300)]
        assert [document.line(document.value[f"b{n}"], "z") for n in range(300)] == [3 * n + 3 for n in range(300)]
        assert len(document.lines) == 1 + 3 * 300


def test_merge_keys_bring_what_is_not_there_the_first_before_the_later(file: Path) -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2, <<: {w: 2}}\nc: {z: 3, <<: [*a, *b]}\nd: {'<<': 4}\n"
    value = both(file, text)
    assert list(value["c"].items()) == [("z", 3), ("x", 1), ("y", 1), ("w", 2)]
    assert value["d"] == {"<<": 4} and value["a"] == {"x": 1, "y": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  b: !!int x", ":2: a.b: tag !!int has no meaning here: take it out"),
        ("a:\n  b: [1, !!set 0.9]", r":2: a.b\[1\]: tag !!set .*"),
        ("a: !x {b: 1}", ":1: a: tag !x .*"),
        ("a: ! 1", ":1: a: tag ! .*"),
        ("!x a: 1", ":1: a: tag !x .*"),
        ("a: {~: 3}", ":1: a: a key is ~: write a name, or put it in quotes"),
        ("a:\n  ? \n  : 3", ":2: a: a key is missing: .*"),
        ("a: {[b]: 1}", ":1: a: a list or mapping stands where a key must be: .*"),
        ("? {b: 1}\n: 1", ":1: top level: a list or mapping stands where a key must be: .*"),
        ("a: &x b\n*x : 1", ":2: top level: alias .x stands where a key must be: .*"),
        ("a: 1\nb: 2\n'a': 3", ":3: top level: key 'a' is there twice, here and in line 1: take one out"),
        ("b: {<<: 3}", ":1: b: merge key << takes a mapping, or a list of mappings"),
        ("a: &a {x: 1}\nb: {<<: [*a, 3]}", ":2: b: merge key << takes .*"),
        ("a: *b", ":1: a: alias .b names no anchor above it: .*"),
        ("a: &a [1, *a]", r":1: a\[1\]: alias .a stands inside of what it names: .*"),
        ("a: 1\n---\nb: 1", ":2: top level: a second document begins, .*"),
        ("%YAML 1.1\n---\na: yes", r":\d: top level: the file is read as YAML 1.2: take %YAML out"),
        ("%YAML 1.3\n---\na: 1", ":1: not valid YAML.*"),
        ("a: " + "9" * 5000, ":1: a: a number of 5,000 digits; 100 are the most .*"),
        ("a: [1e400]", r":1: a\[0\]: 1e400 is beyond what a number can be .*"),
        ("a: -1e-400", ":1: a: -1e-400 is beyond .*"),
        ('a:\n  b: "\\ud800"', ":2: .*"),
        ('a: "x\\0"', r":1: a: the character U\+0000 may not stand in text: take the escape out"),
        ('a: "\\e[31m"', r":1: a: the character U\+001B .*"),
        ('a: "\\UFFFFFFFF"', ":1: not valid YAML.*"),
        ("a: 1\nb: \x07", r":2: not valid YAML: the character U\+0007 may not stand in the file: take it out"),
        ("a: 1\r\nb: x\u2028y", r":2: not valid YAML: the character U\+2028 .*"),
        ("a: \ufeffb", r":1: not valid YAML: the character U\+FEFF .*"),
        ("a:\n\tb: 1", ":2: not valid YAML: found character .*"),
        ("a: [1, 2", ":[12]: not valid YAML: .*"),
        (b"\xef\xbb\xbfa: 1\nb: \xe9\n", ":2: not valid YAML: byte 0xe9 is not UTF-8: .*"),
        ("a: 1".encode("utf-16"), ":1: not valid YAML: byte 0xff is not UTF-8: .*"),
        ("a: " + "[" * 3000, r":1: a\[0\].*: more than 50 lists or mappings lie in each other: .*"),
        ("a: " + "{a: " * 3000, r":1: a\.a.*: more than 50 .*"),
        ("- " * 3000, r":1: \[0\].*: more than 50 .*"),
        (BOMB, r":\d+: x\d\[\d\]: more than 20,000 values, with all that aliases repeat: take some out"),
        ("a: [" + "1," * 30_000 + "]", r":1: a\[20000\]: more than 20,000 values, .*"),
        ("#" * 400_000, " has more than 300,000 bytes: shorten it"),
    ],
)
def test_what_is_not_plain_is_refused_by_its_line(file: Path, text: str | bytes, message: str) -> None:
    refused(file, text, message)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n", "\ufeff", "\n \n"])
def test_a_file_with_nothing_in_it_is_none(file: Path, text: str) -> None:
    assert both(file, text) is None


def test_a_byte_order_mark_and_the_breaks_of_other_systems_change_nothing(file: Path) -> None:
    expected = both(file, "a: 1\nb:\n  - x\n")
    assert both(file, "\ufeffa: 1\r\nb:\r\n  - x\r\n") == both(file, "a: 1\rb:\r  - x\r") == expected == {"a": 1, "b": ["x"]}


def test_what_is_no_file_or_cannot_be_read_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match=r"some.yaml is missing: run the command in the root of the project"):
        read_yaml(file)
    with pytest.raises(BenchError, match="is a folder or a device: put a file there"):
        read_yaml(file.parent)
    file.write_text("a: 1")

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(BenchError, match=r"some.yaml cannot be read: Permission denied"):
        read_yaml(file)


def test_both_parsers_read_the_projects_own_parameters() -> None:
    assert (
        Params.model_validate(read_yaml(ROOT / "params.yaml", pure=True).value) == load_experiments(ROOT / "params.yaml").params
    )
