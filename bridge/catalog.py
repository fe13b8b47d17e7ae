"""The catalogue: which automations there are, what they take, who may ask, and where they run (contract 3.2)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import jsonschema_rs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bridge import plan, yamlfile
from bridge.durations import Duration
from bridge.errors import ConfigurationError, UnknownAutomation, Violation
from bridge.masking import secret_paths

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
TargetName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,24}$")]


_MOST_TARGETS = 1000  #: of one automation


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


def _of_the_app(path: str) -> str:
    if path.startswith("//") or any(unquote(part) in (".", "..") for part in path.split("/")):
        raise ValueError("must be the path of one function: no // at its start, and no part that is . or ..")
    return path


class HttpTarget(_Strict):
    """A function over HTTP: `app` is a configured name, never a URL; `concurrency` calls at a time for each bridge."""

    app: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$", max_length=500), AfterValidator(_of_the_app)]
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 20


class TopicTarget(_Strict):
    """A function behind a topic; `attempts` counts dispatches, the first included."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$")]
    attempts: Annotated[int, Field(ge=1, le=100)] = 1


class Target(_Strict):
    """One place where the automation runs."""

    name: TargetName
    http: HttpTarget | None = None
    topic: TopicTarget | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Target:
        if (self.http is None) == (self.topic is None):
            raise ValueError("a target has either http or topic")
        return self


class Allow(_Strict):
    """Roles that may submit and read. Without `submit` any authenticated caller may, without `read` the submitter and admin."""

    submit: tuple[str, ...] | None = None
    read: tuple[str, ...] | None = None


class _Metadata(_Strict):
    name: Name
    description: str = ""


def _rule(text: str) -> str:
    plan.rule(text, _MOST_TARGETS)
    return text


def _some_time(deadline: timedelta) -> timedelta:
    if deadline <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return deadline


def _named_apart(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    if not 1 <= len(targets) <= _MOST_TARGETS:
        raise ValueError(f"there must be 1 to {_MOST_TARGETS} targets, not {len(targets)}")
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        raise ValueError(f"two targets have the same name: {', '.join(sorted({name for name in names if names.count(name) > 1}))}")
    return targets


def _check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        jsonschema_rs.Draft202012Validator(dict(schema), offline=True)
    except jsonschema_rs.ValidationError as fault:
        place = "/".join(str(part) for part in fault.instance_path)
        raise ValueError(f"is not JSON Schema 2020-12 at {place or 'its top'}: {fault.message}") from None
    except jsonschema_rs.ReferencingError:
        raise ValueError("names a $schema that is not known here; leave it out, 2020-12 is meant") from None
    return schema


class _Spec(_Strict):
    input: Annotated[dict[str, Any], AfterValidator(_check_schema)] = {}
    deadline: Annotated[Duration, AfterValidator(_some_time)]
    succeeds_when: Annotated[str, Field(alias="succeedsWhen"), AfterValidator(_rule)] = "all"
    allow: Allow = Allow()
    targets: Annotated[tuple[Target, ...], AfterValidator(_named_apart)]

    @model_validator(mode="after")
    def _within_reach(self) -> _Spec:
        plan.rule(self.succeeds_when, len(self.targets))
        return self


class _Document(_Strict):
    api_version: Annotated[Literal["bridge/v1"], Field(alias="apiVersion")]
    kind: Literal["Automation"]
    metadata: _Metadata
    spec: _Spec


@dataclass(frozen=True)
class Automation:
    """A named thing that can be asked for."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    deadline: timedelta
    rule: plan.Rule
    allow: Allow
    targets: tuple[Target, ...]

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft202012Validator:
        # Values stay out of the messages: a refused input is exactly where a secret in the wrong field would show.
        return jsonschema_rs.Draft202012Validator(dict(self.input_schema), validate_formats=True, offline=True, mask="the value")

    @cached_property
    def secret_paths(self) -> tuple[tuple[str, ...], ...]:
        """Where the schema says `writeOnly`; `*` stands for every item or key."""
        return secret_paths(self.input_schema)

    def violations(self, value: Any, most: int = 20) -> list[Violation]:
        """Where the input breaks the schema and which rule it breaks, `most` at the most."""
        if self._validator.is_valid(value):
            return []
        return [
            Violation(pointer=_pointer(error.instance_path), rule=_broken(error), detail=error.message[:500])
            for error, _ in zip(self._validator.iter_errors(value), range(most), strict=False)
        ]


@dataclass(frozen=True)
class Catalog:
    """All automations by name."""

    automations: Mapping[str, Automation] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Automation]:
        return iter(self.automations.values())

    def get(self, name: str) -> Automation:
        """The automation of that name. Raises UnknownAutomation, with the nearest name."""
        automation = self.automations.get(name)
        if automation is None:
            near = difflib.get_close_matches(name[:100], self.automations, 1)
            raise UnknownAutomation(f"No automation is named {name[:100]!r}.", hint=f"Did you mean {near[0]!r}?" if near else "")
        return automation


def load(path: Path) -> Catalog:
    """Read the catalogue file, one YAML document an automation.

    Raises ConfigurationError with every problem of the file: document, path and what to do.
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
            problems += [f"{where} ({_name(document)}), {problem}" for problem in _problems(fault)]
            continue
        if automation.name in automations:
            problems.append(f"{where}, metadata.name: {automation.name!r} stands in an earlier document; give it another name")
        automations[automation.name] = automation
    if problems:
        raise ConfigurationError(problems)
    return Catalog(automations)


def _automation(document: Any) -> Automation:
    read = _Document.model_validate(document)
    spec = read.spec
    return Automation(
        name=read.metadata.name,
        description=read.metadata.description,
        input_schema=spec.input,
        deadline=spec.deadline,
        rule=plan.rule(spec.succeeds_when, len(spec.targets)),
        allow=spec.allow,
        # Read again from its full form, so that what the file left to a default is written into the plans of runs.
        targets=tuple(Target.model_validate(target.model_dump()) for target in spec.targets),
    )


def _name(document: Any) -> str:
    try:
        return str(document["metadata"]["name"])
    except (KeyError, TypeError, IndexError):
        return "no name"


def _problems(fault: ValidationError) -> Iterator[str]:
    for error in fault.errors(include_url=False):
        place = ".".join(str(part) for part in error["loc"]) or "document"
        message = str(error.get("ctx", {}).get("error") or error["msg"]).strip()
        if error["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(error["loc"][-1]), _KNOWN, 1)
            message = "is not known here" + (f"; did you mean {near[0]!r}?" if near else "; remove it")
        elif error["type"] == "missing":
            message = "is missing; add it"
        elif error["type"] in _WORDS:
            message = _WORDS[error["type"]]
        elif not isinstance(error["input"], dict | list):
            message = f"{message} (it is {error['input']!r})"
        yield f"{place}: {message}"


_KNOWN = sorted(
    {
        info.alias or name
        for model in (_Document, _Metadata, _Spec, Allow, Target, HttpTarget, TopicTarget)
        for name, info in model.model_fields.items()
    }
)


def _broken(error: jsonschema_rs.ValidationError) -> str:
    """The keyword of the schema that the value breaks; `false` for a property that may not be at all."""
    named = len(error.schema_path) > 1 and error.schema_path[-2] in ("properties", "patternProperties")
    return "false" if named else str(error.schema_path[-1])


#: What a value has to be, in words of the file.
_WORDS = {
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "string_type": "must be a text",
}


def _pointer(path: list[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
