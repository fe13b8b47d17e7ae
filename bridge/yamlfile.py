"""YAML as configuration needs it: plain values only, and a key written twice is an error, not a silent loss."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from bridge.errors import ConfigurationError


def read(path: Path, how_to_name: str) -> list[Any]:
    """The documents of a file as they stand in it; an empty one is None.

    Raises ConfigurationError if it cannot be read, with `how_to_name` saying how to name another file, or is not YAML.
    """
    try:
        return list(yaml.load_all(path.read_text("utf-8"), _UniqueKeys))
    except OSError as fault:
        raise ConfigurationError([f"{path}: cannot be read ({fault.strerror}). {how_to_name}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise ConfigurationError([f"{path}: is not YAML: {' '.join(str(fault).split())}"]) from None
    except RecursionError:
        raise ConfigurationError([f"{path}: is nested too deeply to be read"]) from None


class _UniqueKeys(yaml.SafeLoader):
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):  # how PyYAML says that a text is not what it looks like, such as 2026-13-45
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"{str(node.value)[:40]!r} is no {kind}", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            seen |= {key} if isinstance(key, Hashable) else set()
        return super().construct_mapping(node, deep)
