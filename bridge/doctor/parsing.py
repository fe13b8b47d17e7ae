"""Parses the text of one file into documents: YAML with several documents, Kubernetes lists, and JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import Hit
from bridge.files import jsonplaces, textfile, yamlfile

Refused = tuple[str, Hit]  #: the name of the rule, and the part of a file that cannot be read
_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_INNER_TAB = re.compile(r"(?<=\S)[ \t]*\t[ \t]*")
_FROM_CHART = re.compile(r"\{\{-?\s*(\.(Values|Release|Chart|Capabilities|Template|Files)\b|(include|template|tpl)\s)")
_DIRECTIVE = re.compile(r"(-\s*)?(\{\{|\{%)|.*: \{\{")
_CONFLICT = re.compile(r"^<{7} ", re.MULTILINE)
_API = re.compile(r"^apiVersion:", re.MULTILINE)
_MOST_PARTS = 500  #: of a file with a fault that are read one by one


def is_template(text: str) -> bool:
    """Whether the text becomes YAML only when it is rendered."""
    if "{{" not in text and "{%" not in text:
        return False
    return bool(_FROM_CHART.search(text)) or any(_DIRECTIVE.match(line.split("#", 1)[0].strip()) for line in text.splitlines())


def of_yaml(path: Path, text: str) -> tuple[list[ConfigDocument], list[Refused]]:
    """The documents of a YAML file, and findings for what cannot be read. An error in one document does not affect the others."""
    try:
        found = list(yamlfile.placed(text))
    except yaml.YAMLError as fault:
        return _in_parts(path, text, fault)
    return _documents(path, text, found), []


def of_json(path: Path, text: str) -> tuple[list[ConfigDocument], list[Refused]]:
    """The documents of a JSON file. Comments and trailing commas are accepted."""
    try:
        value: Any = textfile.parse_json(text)
    except ValueError as fault:
        said = re.search(r"line (\d+)", str(fault))
        return [], [("not-readable", Hit(path, int(said[1]) if said else 1, f"It is not JSON: {fault}.", "Correct it."))]
    node = jsonplaces.node_of(text)
    documents = list(_unfolded(ConfigDocument(path, text, value, 1, node)))
    return documents, list(_repeated(path, node)) if node is not None else []


def _documents(path: Path, text: str, found: list[tuple[yaml.Node, Any]], first: int = 1) -> list[ConfigDocument]:
    whole = [ConfigDocument(path, text, value, number, node) for number, (node, value) in enumerate(found, first) if value is not None]
    return [each for document in whole for each in _unfolded(document)]


def _unfolded(document: ConfigDocument) -> Iterator[ConfigDocument]:
    """The resources in a Kubernetes list, or the document itself if it is not a list."""
    if document.kind != "List" and not (document.kind.endswith("List") and isinstance(document.get("items"), list)):
        yield document
        return
    nodes = _items(document.node)
    for index, each in document.items("items"):
        if isinstance(each, Mapping):
            yield replace(document, value=each, node=nodes[index] if index < len(nodes) else None)


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value.value for key, value in pairs if key.value == "items" and isinstance(value, yaml.SequenceNode)), [])


def _in_parts(path: Path, text: str, fault: yaml.YAMLError) -> tuple[list[ConfigDocument], list[Refused]]:
    """What can be read of a file with an error: each document on its own, as daprd reads them."""
    starts = [0, *(found.start() for found in _SEPARATOR.finditer(text) if found.start())]
    is_told = len(starts) == 1 and "appears twice" not in str(fault) and "\t" not in text and "constructor" not in str(fault)
    if is_told or isinstance(fault, yamlfile.TooMuch) or len(starts) > _MOST_PARTS:
        return [], [_refused(path, text, 0, fault)]
    documents: list[ConfigDocument] = []
    refused: list[Refused] = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part, line = text[start:end], text.count("\n", 0, start)
        try:
            found = _tolerant(part, start, line)
        except yaml.YAMLError as wrong:
            if _API.search(part) or "determine a constructor" not in str(wrong):  # tags are for other readers than those of resources
                refused.append(_refused(path, part, line, wrong))
            continue
        documents += _documents(path, text, found, len(documents) + len(refused) + 1)
        refused += [each for node, _ in found for each in _repeated(path, node)]
    return documents, refused


def _tolerant(text: str, index: int, line: int) -> list[tuple[yaml.Node, Any]]:
    """The documents of a part of a file. Repeated keys, and tabs after a value, are accepted as Go's parsers accept them.

    Raises yaml.YAMLError.
    """
    try:
        return list(yamlfile.lenient(text, index, line))
    except yaml.YAMLError:
        if "\t" not in text:
            raise
        return list(yamlfile.lenient(_INNER_TAB.sub(lambda found: " " * len(found[0]), text), index, line))


def _repeated(path: Path, node: yaml.Node) -> Iterator[Refused]:
    for key in yamlfile.repeated(node):
        yield "key-twice", Hit(path, key.start_mark.line + 1, f"The key {key.value[:100]!r} appears twice.", "Keep one of them.")


def _refused(path: Path, part: str, before: int, fault: yaml.YAMLError) -> Refused:
    """The finding for a part of a file that cannot be parsed. `before` is the number of lines before that part."""
    mend = "Correct it; until then nothing of this document is read."
    if conflict := _CONFLICT.search(part):
        line = before + part.count("\n", 0, conflict.start()) + 1
        return "not-readable", Hit(path, line, "There is a merge conflict of git here.", "Resolve the conflict.")
    if isinstance(fault, yaml.MarkedYAMLError):
        is_open = "quoted scalar" in str(fault.context) and "end of stream" in str(
            fault.problem
        )  # told where it ends, and wrong where it begins
        mark = fault.context_mark if is_open else fault.problem_mark or fault.context_mark
        told = str(fault.problem or fault)
        return "not-readable", Hit(path, mark.line + 1 if mark else 1, f"{told[:1].upper()}{told[1:]}.", mend)
    line = before + (part.count("\n", 0, fault.position) if isinstance(fault, yaml.reader.ReaderError) else 0) + 1
    return "not-readable", Hit(path, line, f"It is not YAML: {' '.join(str(fault).split())}.", mend)
