"""The catalogue: the automations with their input schema, their permissions and their targets (contract 3.2)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema_rs
from msgspec import Raw
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bridge.catalog import completion, mapping, mappingcheck
from bridge.catalog.failedwhen import FailedWhen, one_or_more
from bridge.catalog.mapping import HttpRequestMapping
from bridge.durations import Duration
from bridge.errors import ConfigurationError, UnknownAutomation, Violation
from bridge.files import yamlfile
from bridge.outcome.errorswritten import Errors
from bridge.outcome.following import Follow
from bridge.redaction import secret_paths
from bridge.schemas import subschemas
from bridge.schemas.inputschema import CompiledSchema

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
TargetName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,24}$")]


_MOST_TARGETS = 1000  #: of one automation
_NO_NAME = (
    "GET /v1/automations lists the names; the subject of an event is one of them (where Dapr wraps it, the metadata cloudevent.subject)."
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class HttpTarget(HttpRequestMapping):
    """A function that is called over HTTP. `app` is a configured name, never a URL; `concurrency` limits the calls of each bridge.

    `errors`, here and below: whether error records that a PowerShell function wrote end the invocation as failed.
    """

    app: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 20
    follow: Follow | None = None
    errors: Errors | None = None
    failed_when: Annotated[tuple[FailedWhen, ...], BeforeValidator(one_or_more)] | None = Field(None, alias="failedWhen")


class BusTarget(_Strict):
    """A function, or another program, behind a topic or a queue. `attempts` is the most dispatches, the first included.

    `body` is what the message carries: the whole `automation.invoked` event, or the bare input. `completes` says what ends the invocation:
    a result event; the settlement that the local functions host reports; or that the broker has the message.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$")]
    attempts: Annotated[int, Field(ge=1, le=100)] = 1
    body: Literal["event", "input"] | None = None
    completes: Literal["result", "settled", "published"] | None = None
    errors: Errors | None = None

    @model_validator(mode="after")
    def _ends_after_the_function(self) -> BusTarget:
        if self.errors == "fail" and self.completes == "published":
            raise ValueError("errors: fail is too late with completes: published, which ends the invocation before the function runs")
        return self


class Target(_Strict):
    """One place where the automation runs."""

    name: TargetName
    http: HttpTarget | None = None
    topic: BusTarget | None = None
    queue: BusTarget | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Target:
        if sum(each is not None for each in (self.http, self.topic, self.queue)) != 1:
            raise ValueError("a target has one of http, topic and queue")
        return self

    @property
    def bus(self) -> BusTarget | None:
        """The topic or queue; None for an HTTP target."""
        return self.topic or self.queue

    @cached_property
    def json_form(self) -> Raw:
        """The target as JSON, encoded once. Every run of the automation stores it as its plan."""
        return Raw(self.model_dump_json(exclude_unset=True, by_alias=True).encode())


class Allow(_Strict):
    """Roles that may submit and read. Without `submit` any authenticated caller may, without `read` the submitter and admin."""

    submit: tuple[str, ...] | None = None
    read: tuple[str, ...] | None = None


class _Metadata(_Strict):
    name: Name
    description: str = ""


def _rule(text: str) -> str:
    completion.rule(text, _MOST_TARGETS)
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


#: What `$schema` may say, at the top or in an embedded schema. The library knows these; any other it would fetch.
_DIALECTS = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2020-12/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2019-09/schema#",
    *(f"http://json-schema.org/draft-0{number}/schema{end}" for number in (4, 6, 7) for end in ("", "#")),
)


def _check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        if not all(each in _DIALECTS for each in subschemas.dialects(schema)):
            raise ValueError("names a $schema that is not known here; leave it out, 2020-12 is meant")
        jsonschema_rs.meta.validate({"$schema": _DIALECTS[0], **schema})
        CompiledSchema(schema)
    except jsonschema_rs.ValidationError as fault:
        place = "/".join(str(part) for part in fault.instance_path)
        raise ValueError(f"is not JSON Schema 2020-12 at {place or 'its top'}: {fault.message[:500]}") from None
    except jsonschema_rs.ReferencingError as fault:
        raise ValueError(f"refers to what is not in it, and nothing is fetched: {str(fault)[:300]}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except (TypeError, OverflowError) as fault:
        raise ValueError(f"holds a value that JSON does not have: {str(fault)[:200]}") from None
    return schema


class _Spec(_Strict):
    input: Annotated[dict[str, Any], AfterValidator(_check_schema)] = {}
    deadline: Annotated[Duration, AfterValidator(_some_time)]
    succeeds_when: Annotated[str, Field(alias="succeedsWhen"), AfterValidator(_rule)] = "all"
    allow: Allow = Allow()
    targets: Annotated[tuple[Target, ...], AfterValidator(_named_apart)]

    @model_validator(mode="after")
    def _within_reach(self) -> _Spec:
        completion.rule(self.succeeds_when, len(self.targets))
        return self


class _Document(_Strict):
    api_version: Annotated[Literal["bridge/v1"], Field(alias="apiVersion")]
    kind: Literal["Automation"]
    metadata: _Metadata
    spec: _Spec


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
        """The violations of the schema by an input: where, and of which rule. At most `most` of them. Takes as long as it takes.

        Of an input that fits the schema: why it cannot be mapped onto a target.
        """
        return self.schema.violations(value, most) or self.unmappable(value)

    def unmappable(self, value: Any) -> list[Violation]:
        """Why an input that fits the schema cannot be mapped onto targets, one violation for each of these targets."""
        mapped = [each.http for each in self.targets if each.http is not None and not each.http.passes_input_on]
        return [found for each in mapped if (found := mapping.violation(each, value)) is not None]

    @cached_property
    def maps(self) -> bool:
        """Whether a part of the input has to be mapped onto a target."""
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
            problems += [f"{where} ({_name(document)}), {problem}" for problem in _problems(fault)]
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
    """The JSON Schema of one document as pydantic makes it: what validators accept beyond it is not in it."""
    return _Document.model_json_schema(by_alias=True)


def _automation(document: Any) -> Automation:
    read = _Document.model_validate(document)
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
    """The target, so that the plans of runs also contain the values that the file left to a default."""
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


def _problems(fault: ValidationError) -> Iterator[str]:
    for error in fault.errors(include_url=False):
        place = ".".join(str(part) for part in error["loc"]) or "document"
        message = str(error.get("ctx", {}).get("error") or error["msg"]).strip()
        if error["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(error["loc"][-1])[:100], _KNOWN, 1)
            message = "is not known here" + (f"; did you mean {near[0]!r}?" if near else "; remove it")
        elif error["type"] == "missing":
            message = "is missing; add it"
        elif error["type"] in _WORDS:
            message = _WORDS[error["type"]]
        elif not isinstance(error["input"], dict | list):
            field = str(error["loc"][-1]) if error["loc"] else ""
            words = _FORMS.get(field, "") if error["type"] == "string_pattern_mismatch" else ""
            message = f"{words or _SHOULD.sub('must', message)} (it is {_shortened(error['input'])})"
        yield f"{place}: {message}"


_KNOWN = sorted(
    {
        info.alias or name
        for model in (_Document, _Metadata, _Spec, Allow, Target, HttpTarget, BusTarget, FailedWhen)
        for name, info in model.model_fields.items()
    }
)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


#: What a text must look like, by the field that has it.
_FORMS = {
    "app": "must be the name of an app, of lower-case letters, digits and hyphens; addresses belong under function_apps in the settings",
    "path": "must be the path of a function, such as /api/items, without host and query",
}
_SHOULD = re.compile("^(?:Input|String|Value) should")
#: The expected kind of value, in the words of the file.
_WORDS = {
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "string_type": "must be a text; YAML reads no, off and numbers as something else, so put it in quotes",
}
