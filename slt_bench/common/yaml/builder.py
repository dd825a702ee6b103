"""Build plain values from the events of a YAML parser; whatever is not plain, or would take long, is refused by its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import events

from slt_bench.common.errors import BenchError
from slt_bench.common.yaml.text import NULLS, check_text, one_line, scalar, shown

DEPTH = 50  # lists and mappings that may lie in each other
VALUES = 20_000  # values that a file may hold, with all that its aliases repeat
Lines = dict[str | int, int]


@dataclass
class _Anchored:
    """A value that an anchor names."""

    value: Any = None
    values: int | None = None  # their number, with all below it; None while it is being read


@dataclass
class _Open:
    """A dict or list that is being read."""

    node: Any
    line: int
    before: int  # number of values read before it
    anchored: _Anchored
    key: str | None = None  # of the value that comes next; None where a key comes next
    merging: bool = False  # that key is a merge key
    merged: list[tuple[int, Any]] = field(default_factory=list)

    @property
    def wants_key(self) -> bool:
        """Whether the next scalar is a key of the mapping."""
        return isinstance(self.node, dict) and self.key is None


@dataclass
class Builder:
    """Builder of a document: takes the events of a parser one by one, without recursion; then `root` is its value."""

    path: Path
    root: Any = None
    lines: dict[int, Lines] = field(default_factory=dict)  # by the identity of a dict or list
    _nodes: list[Any] = field(default_factory=list)  # kept alive, merged ones too: an identity must not be given twice
    _documents: int = 0
    _values: int = 0  # read so far, aliases with all that they stand for
    _open: list[_Open] = field(default_factory=list)
    _anchors: dict[str, _Anchored] = field(default_factory=dict)

    def take(self, event: Any) -> None:
        """Take the next event.

        Raises:
            BenchError: one line that names file, line and key.
        """
        line = event.start_mark.line + 1
        if isinstance(event, events.AliasEvent):
            self._alias(event.anchor, line)
        elif isinstance(event, events.NodeEvent):
            self._node(event, line)
        elif isinstance(event, events.CollectionEndEvent):
            self._end(self._open.pop())
        elif isinstance(event, events.DocumentStartEvent):
            self._document(event, line)

    def _document(self, event: Any, line: int) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse(line, "a second document begins, but the file is one: take '---' out")
        if event.version is not None and tuple(event.version) != (1, 2):
            self._refuse(line, "the file is read as YAML 1.2: take %YAML out")

    def _node(self, event: Any, line: int) -> None:
        """Take a scalar, or the beginning of a list or mapping."""
        key_of = self._open[-1] if self._open and self._open[-1].wants_key else None
        anchored = _Anchored()
        if event.anchor is not None:
            self._anchors[event.anchor] = anchored
        if isinstance(event, events.ScalarEvent):
            plain, anchored.values = event.implicit[0], 1
            if key_of is not None:
                anchored.value = self._key(key_of, event.value, plain, line)
                self._refuse_tag(event, line)
            else:
                self._refuse_tag(event, line)
                anchored.value = self._scalar(event.value, plain, line)
                self._put(anchored.value, 1, line)
        elif key_of is not None:
            self._refuse(line, "a list or mapping stands where a key must be: write a name, or put the text in quotes")
        else:
            self._refuse_tag(event, line)
            self._begin({} if isinstance(event, events.MappingStartEvent) else [], anchored, line)

    def _key(self, holder: _Open, text: str, plain: bool, line: int) -> str:
        if plain and text in NULLS:
            self._refuse(line, f"a key is {text or 'missing'}: write a name, or put it in quotes")
        key = self._text(text, line)
        lines = self.lines[id(holder.node)]
        if key in lines:
            self._refuse(line, f"key {one_line(repr(key), 60)} is there twice, here and in line {lines[key]}: take one out")
        lines[key] = line
        holder.key, holder.merging = key, plain and key == "<<"
        return key

    def _scalar(self, text: str, plain: bool, line: int) -> Any:
        if not plain:
            return self._text(text, line)
        try:
            return scalar(text)
        except ValueError as error:
            self._refuse(line, str(error))

    def _text(self, text: str, line: int) -> str:
        try:
            return check_text(text)
        except ValueError as error:
            self._refuse(line, str(error))

    def _begin(self, node: Any, anchored: _Anchored, line: int) -> None:
        if len(self._open) >= DEPTH:
            self._refuse(line, f"more than {DEPTH} lists or mappings lie in each other: take some out")
        anchored.value = node
        self.lines[id(node)] = {}
        self._nodes.append(node)
        self._open.append(_Open(node, line, self._values, anchored))

    def _end(self, closed: _Open) -> None:
        for line, source in closed.merged:
            self._merge(closed.node, source, line)
        closed.anchored.values = self._values - closed.before + 1
        self._put(closed.node, 1, closed.line)

    def _alias(self, name: str, line: int) -> None:
        if self._open and self._open[-1].wants_key:
            self._refuse(line, f"alias *{one_line(name, 60)} stands where a key must be: write the name itself")
        anchored = self._anchors.get(name)
        if anchored is None:
            self._refuse(line, f"alias *{one_line(name, 60)} names no anchor above it: write &{one_line(name, 60)} there")
        if anchored.values is None:
            self._refuse(line, f"alias *{one_line(name, 60)} stands inside of what it names: write out what is meant")
        self._put(anchored.value, anchored.values, line)

    def _put(self, value: Any, values: int, line: int) -> None:
        """Put a whole value into the list or mapping that is being read."""
        self._values += values
        if self._values > VALUES:
            self._refuse(line, f"more than {VALUES:,} values, with all that aliases repeat: take some out")
        if not self._open:
            self.root = value
            return
        holder = self._open[-1]
        if holder.key is None:
            self.lines[id(holder.node)][len(holder.node)] = line
            holder.node.append(value)
        elif holder.merging:
            holder.merged += [(line, source) for source in (value if isinstance(value, list) else [value])]
            holder.key = None
        else:
            holder.node[holder.key], holder.key = value, None

    def _merge(self, node: dict[str, Any], source: Any, line: int) -> None:
        """Add the keys that a merge key brings, unless they are there already, with the lines in which they are written."""
        if not isinstance(source, dict):
            self._refuse(line, "merge key << takes a mapping, or a list of mappings")
        for key in source:
            if key not in node:
                node[key] = source[key]
                self.lines[id(node)][key] = self.lines[id(source)][key]

    def _refuse_tag(self, event: Any, line: int) -> None:
        if event.tag is not None:
            tag = one_line(event.tag.replace("tag:yaml.org,2002:", "!!"), 60)
            self._refuse(line, f"tag {tag} has no meaning here: take it out")

    def _refuse(self, line: int, message: str) -> NoReturn:
        keys: list[str | int] = []
        for holder in self._open:
            key = len(holder.node) if isinstance(holder.node, list) else holder.key
            keys += [] if key is None else [key]
        raise BenchError(f"{self.path}:{line}: {shown(tuple(keys))}: {message}")
