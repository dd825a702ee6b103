"""A ticket file with anything changed is refused, or gives the identical network."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slt_bench.ticket.file import TicketFile, read_ticket, save_ticket
from tests.fuzz.harness import attempt, fuzzed
from tests.toys_tickets import make_child_ticket, make_rich_ticket, make_ticket

_FORMS: dict[str, Any] = {
    "packed": (make_ticket(), {}),
    "coded": (make_ticket(scale="dynamic"), {"mask": "coded", "statistics": "float16"}),
    "weights": (make_ticket(learned="weights"), {}),
    "child": (make_child_ticket(), {}),
    "rich": (make_rich_ticket(), {}),
    "rich and coded": (make_rich_ticket(), {"mask": "coded"}),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([0, -1, 2**31, 2**63, 10**30, "U8"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[bytes, TicketFile]]]:
    """A folder to write in, and all forms of ticket files as bytes and as read."""
    directory, forms = tmp_path_factory.mktemp("tickets"), {}
    for name, (ticket, form) in _FORMS.items():
        save_ticket(ticket, directory / name, **form)
        forms[name] = ((directory / name).read_bytes(), read_ticket(directory / name))
    return directory, forms


def check(path: Path, content: bytes, known: TicketFile) -> None:
    path.write_bytes(content)
    read = attempt(lambda: read_ticket(path))
    if read is not None:
        assert read.ticket.spec == known.ticket.spec
        weights, expected = (file.network.plain_module().state_dict() for file in (read, known))
        assert all(expected[name].equal(value) for name, value in weights.items()) and weights.keys() == expected.keys()


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def whole_again(header: dict[str, Any], rest: bytes) -> bytes:
    """The file of a header, whatever it is now, and what came after it."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def key_paths(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values below a node."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(key_path for key, value in inside for key_path in key_paths(value, (*at, key)))] if at else [
        key_path for key, value in inside for key_path in key_paths(value, (key,))
    ]  # fmt: skip


def put(node: Any, key_path: tuple[Any, ...], value: Any, how: str) -> None:
    """Replace, remove or double the value at a key path."""
    for key in key_path[:-1]:
        node = node[key]
    if how == "remove":
        del node[key_path[-1]]
    elif how == "add" and isinstance(node, dict):
        node[f"{key_path[-1]}2"] = value
    elif how == "add":
        node.insert(key_path[-1], value)
    else:
        node[key_path[-1]] = value


@fuzzed
@given(st.data(), st.sampled_from(list(_FORMS)))
def test_any_edit_of_the_header_of_the_ticket(files: Any, data: st.DataObject, form: str) -> None:
    directory, forms = files
    content, known = forms[form]
    outer, rest = parts(content)
    header = json.loads(outer["__metadata__"]["slt-bench"])
    for _ in range(data.draw(st.integers(1, 2))):
        key_path = data.draw(st.sampled_from(key_paths(header)))
        put(header, key_path, data.draw(JSON), data.draw(st.sampled_from(["replace", "remove", "add"])))
        if not key_paths(header):
            break
    outer["__metadata__"]["slt-bench"] = json.dumps(header)
    check(directory / "edited", whole_again(outer, rest), known)


@fuzzed
@given(st.data(), st.sampled_from(list(_FORMS)))
def test_any_edit_of_the_header_of_safetensors(files: Any, data: st.DataObject, form: str) -> None:
    directory, forms = files
    content, known = forms[form]
    outer, rest = parts(content)
    key_path = data.draw(st.sampled_from(key_paths(outer)))
    types = st.sampled_from(["F32", "F16", "BF16", "I32", "U32", "I16", "U16", "I8", "U8", "BOOL", "F64", "F8_E5M2"])
    put(
        outer,
        key_path,
        data.draw(types if key_path[-1] == "dtype" else JSON),
        data.draw(st.sampled_from(["replace", "remove"])),
    )
    check(directory / "edited", whole_again(outer, rest), known)


@fuzzed
@given(st.data(), st.sampled_from(list(_FORMS)))
def test_any_bytes_changed_cut_or_added(files: Any, data: st.DataObject, form: str) -> None:
    directory, forms = files
    content, known = forms[form]
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        new = data.draw(st.binary(max_size=8))
        changed[at : at + data.draw(st.integers(0, 8))] = new
        if not changed:
            break
    check(directory / "edited", bytes(changed), known)
