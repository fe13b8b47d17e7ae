"""The catalogue: the automations with their input schema, their permissions and their targets."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge.catalog import completion, mapping, mappingcheck
from bridge.catalog.document import Allow, CatalogDocument
from bridge.catalog.problems import explain
from bridge.catalog.target import Target
from bridge.errors import ConfigurationError, UnknownAutomation, Violation
from bridge.files import yamlfile
from bridge.redaction import secret_paths
from bridge.schemas.inputschema import CompiledSchema

_NO_NAME = (
    "GET /v1/automations lists the names; the subject of an event is one of them (where Dapr wraps it, the metadata cloudevent.subject)."
)


@dataclass(frozen=True)
class Automation:
    """A named unit of work that callers can request."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    deadline: timedelta
    rule: completion.Rule
    allow: Allow
    targets: tuple[Target, ...]

    @cached_property
    def schema(self) -> CompiledSchema:
        """The compiled schema of its input."""
        return CompiledSchema(self.input_schema)

    @cached_property
    def secret_paths(self) -> tuple[tuple[str, ...], ...]:
        """The places that the schema declares `writeOnly`; `*` stands for every item or key."""
        return secret_paths(self.input_schema)

    def violations(self, value: Any, most: int = 20) -> list[Violation]:
        """The violations of the schema by an input, at most `most`, each with its place and the violated rule. May take long.

        If the input fits the schema: the reasons why it cannot be mapped onto a target.
        """
        return self.schema.violations(value, most) or self.unmappable(value)

    def unmappable(self, value: Any) -> list[Violation]:
        """Why an input that fits the schema cannot be mapped onto targets: one violation for each such target."""
        mapped = [each.http for each in self.targets if each.http is not None and not each.http.passes_input_on]
        return [found for each in mapped if (found := mapping.violation(each, value)) is not None]

    @cached_property
    def maps(self) -> bool:
        """Whether the mapping of any target reads a part of the input."""
        return any(each.http is not None and not each.http.passes_input_on for each in self.targets)


@dataclass(frozen=True)
class Catalog:
    """All automations by name."""

    automations: Mapping[str, Automation] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Automation]:
        return iter(self.automations.values())

    def get(self, name: str) -> Automation:
        """The automation of this name. Raises UnknownAutomation, which suggests the nearest name."""
        automation = self.automations.get(name)
        if automation is None:
            near = difflib.get_close_matches(name[:100], self.automations, 1)
            hint = f"Did you mean {near[0]!r}?" if near else "" if name else _NO_NAME
            raise UnknownAutomation(f"No automation is named {name[:100]!r}.", hint=hint)
        return automation


def load(path: Path) -> Catalog:
    """Read the catalogue file, which has one YAML document for each automation.

    Raises ConfigurationError with every problem of the file: its document, its path and how to fix it.
    """
    documents = yamlfile.read(path, "Name the catalogue with --catalogue or BRIDGE_CATALOGUE.")
    automations: dict[str, Automation] = {}
    problems: list[str] = []
    for number, document in enumerate(documents, 1):
        if document is None:
            continue
        where = f"{path}, document {number}"
        try:
            automation = _automation(document)
        except ValidationError as fault:
            problems += [f"{where} ({_name(document)}), {problem}" for problem in explain(fault)]
            continue
        problems += [
            f"{where} ({automation.name}), {problem}" for problem in mappingcheck.problems(automation.input_schema, automation.targets)
        ]
        if automation.name in automations:
            problems.append(f"{where}, metadata.name: {automation.name!r} stands in an earlier document; give it another name")
        automations[automation.name] = automation
    if problems:
        raise ConfigurationError(problems)
    return Catalog(automations)


def document_schema() -> dict[str, Any]:
    """The JSON Schema of one document, as pydantic generates it. It does not contain what validators check."""
    return CatalogDocument.model_json_schema(by_alias=True)


def _automation(document: Any) -> Automation:
    read = CatalogDocument.model_validate(document)
    spec = read.spec
    return Automation(
        name=read.metadata.name,
        description=read.metadata.description,
        input_schema=spec.input,
        deadline=spec.deadline,
        rule=completion.rule(spec.succeeds_when, len(spec.targets)),
        allow=spec.allow,
        targets=tuple(_with_defaults(target) for target in spec.targets),
    )


def _with_defaults(target: Target) -> Target:
    """The target with its defaults written out, so that the plans of runs contain them."""
    http = target.http
    if http is not None:
        return target.model_copy(update={"http": http.model_copy(update={"method": http.method, "concurrency": http.concurrency})})
    kind, bus = ("topic", target.topic) if target.topic else ("queue", target.queue)
    return target.model_copy(update={kind: bus and bus.model_copy(update={"attempts": bus.attempts})})


def _name(document: Any) -> str:
    try:
        return str(document["metadata"]["name"])
    except (KeyError, TypeError, IndexError):
        return "no name"
