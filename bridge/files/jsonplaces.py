"""Where the values of a JSON text stand, which JSON5 may be: the nodes of YAML know their places."""

from __future__ import annotations

import re

import yaml

from bridge.files import yamlfile

_SKIPPED = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'"(?:\\.|[^"\\\n])*"|,(?=\s*[}\]])')
_ALL_BUT_LINES = re.compile(r"[^\n]")


def node_of(text: str) -> yaml.Node | None:
    """The node of the one value of the text; None if it is no JSON with comments. Every place in it is that of the text."""
    plain = _SKIPPED.sub(lambda found: found[0] if found[0].startswith('"') else _ALL_BUT_LINES.sub(" ", found[0]), text)
    plain = _LAST_COMMA.sub(lambda found: " " if found[0] == "," else found[0], plain).replace("\t", " ")
    try:
        [(node, _)] = yamlfile.lenient(plain)
    except (ValueError, yaml.YAMLError):
        return None
    return node
