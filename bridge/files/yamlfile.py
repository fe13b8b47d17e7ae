"""Reads YAML for configuration: plain values only, a key that appears twice is an error, and so is a file that unfolds to too much.

An alias is one value that stands in several places. Whoever walks the values meets it once for each place, so a few lines of aliases of
aliases are more than any memory holds; what counts here is what a walk meets.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from bridge.errors import ConfigurationError
from bridge.files import textfile

MOST_BYTES = 16 * 2**20  #: of a file
MOST_VALUES = 200_000  #: of a document; what an alias stands for counts as often as it is named
LONGEST_NUMBER = 1_000  #: characters; a longer one takes minutes to read or cannot be shown


def read(path: Path, how_to_name: str) -> list[Any]:
    """The documents of a file, in their order. An empty document is None.

    Raises ConfigurationError if the file cannot be read, is not YAML or is too much. `how_to_name` says in the message how to name another
    file.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigurationError([f"{path}: is larger than {MOST_BYTES:,} bytes; divide it or shorten it"])
        return list(yaml.load_all(textfile.read(path), _UniqueKeys))
    except OSError as fault:
        raise ConfigurationError([f"{path}: cannot be read ({fault.strerror}). {how_to_name}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise ConfigurationError([f"{path}: is not YAML: {' '.join(str(fault).split())}"]) from None
    except RecursionError:
        raise ConfigurationError([f"{path}: is nested too deeply to be read"]) from None


def parse(text: str) -> Any:
    """The document of a text, in which the last of several equal keys counts. Raises yaml.YAMLError, also for a text that is too much."""
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506 - a safe loader
    except RecursionError:
        raise TooMuch(None, None, "it is nested too deeply to be read") from None


def placed(text: str) -> Iterator[tuple[yaml.Node, Any]]:
    """Each document of a text: the node that knows its places, and the value. Raises yaml.YAMLError, also for a key that appears twice."""
    return _documents(_UniqueKeys(text))


def lenient(text: str, index: int = 0, line: int = 0) -> Iterator[tuple[yaml.Node, Any]]:
    """The same, but the last of several equal keys counts. Raises yaml.YAMLError.

    `index` and `line`, from 0, are where the text begins in its file: the places of the nodes are those of the file.
    """
    loader = _PlainLoader(text)
    loader.index, loader.line = index, line
    return _documents(loader)


def repeated(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """The keys below the node that stand in their mapping before. An alias is looked into once."""
    waiting, met = [node], {id(node)}
    while waiting:
        each = waiting.pop()
        pairs = each.value if isinstance(each, yaml.MappingNode) else ()
        seen: set[tuple[str, str]] = set()
        for key, _ in pairs:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    yield key
                seen.add((key.tag, key.value))
        children = [value for _, value in pairs] if pairs else each.value if isinstance(each, yaml.SequenceNode) else []
        for child in children:
            if id(child) not in met:
                met.add(id(child))
                waiting.append(child)


def _documents(loader: _PlainLoader) -> Iterator[tuple[yaml.Node, Any]]:
    try:
        while loader.check_node():
            if (node := loader.get_node()) is not None:
                yield node, loader.construct_document(node)
    except RecursionError:
        raise TooMuch(None, None, "it is nested too deeply to be read") from None


class TooMuch(yaml.constructor.ConstructorError):
    """The text is YAML, and more than anybody wants to read. The message repeats no value."""


class _PlainLoader(yaml.SafeLoader):
    def construct_document(self, node: yaml.Node) -> Any:
        if (found := _unfolded(node, {}, set())) > MOST_VALUES:
            shown = f"{found:,}" if found < 10**12 else "more than a million million"
            problem = f"its aliases unfold to {shown} values; {MOST_VALUES:,} are allowed"
            raise TooMuch(None, None, problem, node.start_mark)
        return super().construct_document(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.rpartition(":")[2]
        if isinstance(node, yaml.ScalarNode) and kind in ("int", "float", "timestamp") and len(node.value) > LONGEST_NUMBER:
            raise TooMuch(None, None, f"this is no {kind}: it has more than {LONGEST_NUMBER:,} characters", node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, OverflowError):  # from PyYAML, for what only looks like a date, such as 2026-13-45
            raise yaml.constructor.ConstructorError(None, None, f"{str(node.value)[:40]!r} is no {kind}", node.start_mark) from None


class _UniqueKeys(_PlainLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {str(key)[:100]!r} appears twice", key_node.start_mark)
            seen |= {key} if isinstance(key, Hashable) else set()
        return super().construct_mapping(node, deep)


def _unfolded(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """How many values a walk meets below this node and at it. Raises ConstructorError for a node that stands within itself."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    number = id(node)
    if number in above:
        raise TooMuch(None, None, "an alias stands within the value that it names", node.start_mark)
    if number not in known:
        above.add(number)
        children = (child for each in node.value for child in (each if isinstance(each, tuple) else (each,)))
        known[number] = 1 + sum(_unfolded(child, known, above) for child in children)
        above.discard(number)
    return known[number]
