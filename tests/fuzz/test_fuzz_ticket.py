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
from tests.toys_tickets import make_child_ticket, make_ticket

_FORMS: dict[str, Any] = {
    "packed": (make_ticket(), {}),
    "coded": (make_ticket(scale="dynamic"), {"mask": "coded", "statistics": "float16"}),
    "weights": (make_ticket(learned="weights"), {}),
    "child": (make_child_ticket(), {}),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([0, -1, 2**31, 2**63, 10**30, "U8"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[bytes, TicketFile]]]:
    """A folder to write in, and the four forms of ticket files as bytes and as read."""
    directory, found = tmp_path_factory.mktemp("tickets"), {}
    for name, (ticket, form) in _FORMS.items():
        save_ticket(ticket, directory / name, **form)
        found[name] = ((directory / name).read_bytes(), read_ticket(directory / name))
    return directory, found


def check(path: Path, content: bytes, known: TicketFile) -> None:
    path.write_bytes(content)
    read = attempt(lambda: read_ticket(path))
    if read is not None:
        assert read.ticket.spec == known.ticket.spec
        ours, theirs = (each.network.plain_module().state_dict() for each in (read, known))
        assert all(theirs[name].equal(value) for name, value in ours.items()) and ours.keys() == theirs.keys()


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def whole_again(header: dict[str, Any], rest: bytes) -> bytes:
    """The file of a header, whatever it is now, and what came after it."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values below a node."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, value in inside for place in places(value, (*at, key)))] if at else [
        place for key, value in inside for place in places(value, (key,))
    ]  # fmt: skip


def put(node: Any, place: tuple[Any, ...], value: Any, how: str) -> None:
    """Replace, remove or double what lies at a place."""
    for key in place[:-1]:
        node = node[key]
    if how == "remove":
        del node[place[-1]]
    elif how == "add" and isinstance(node, dict):
        node[f"{place[-1]}2"] = value
    elif how == "add":
        node.insert(place[-1], value)
    else:
        node[place[-1]] = value


@fuzzed
@given(st.data(), st.sampled_from(list(_FORMS)))
def test_any_edit_of_our_header(whole: Any, data: st.DataObject, form: str) -> None:
    directory, found = whole
    content, known = found[form]
    outer, rest = parts(content)
    header = json.loads(outer["__metadata__"]["slt-bench"])
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(places(header)))
        put(header, place, data.draw(JSON), data.draw(st.sampled_from(["replace", "remove", "add"])))
        if not places(header):
            break
    outer["__metadata__"]["slt-bench"] = json.dumps(header)
    check(directory / "edited", whole_again(outer, rest), known)


@fuzzed
@given(st.data(), st.sampled_from(list(_FORMS)))
def test_any_edit_of_the_header_of_safetensors(whole: Any, data: st.DataObject, form: str) -> None:
    directory, found = whole
    content, known = found[form]
    outer, rest = parts(content)
    place = data.draw(st.sampled_from(places(outer)))
    types = st.sampled_from(["F32", "F16", "BF16", "I32", "U32", "I16", "U16", "I8", "U8", "BOOL", "F64", "F8_E5M2"])
    put(outer, place, data.draw(types if place[-1] == "dtype" else JSON), data.draw(st.sampled_from(["replace", "remove"])))
    check(directory / "edited", whole_again(outer, rest), known)


@fuzzed
@given(st.data(), st.sampled_from(list(_FORMS)))
def test_any_bytes_changed_cut_or_added(whole: Any, data: st.DataObject, form: str) -> None:
    directory, found = whole
    content, known = found[form]
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        new = data.draw(st.binary(max_size=8))
        changed[at : at + data.draw(st.integers(0, 8))] = new
        if not changed:
            break
    check(directory / "edited", bytes(changed), known)
