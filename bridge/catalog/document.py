"""The format of one document of the catalogue file."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bridge.catalog import completion
from bridge.catalog.target import CatalogShape, Target
from bridge.durations import Duration
from bridge.schemas import schemacheck

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]

_MOST_TARGETS = 1000  #: of one automation


class Allow(CatalogShape):
    """The roles that may submit and read. Without `submit`, any authenticated caller may. Without `read`, the submitter and admin may."""

    submit: tuple[str, ...] | None = None
    read: tuple[str, ...] | None = None


class Metadata(CatalogShape):
    """The name of the automation, and its purpose."""

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


class AutomationSpec(CatalogShape):
    """The input of the automation, its limits, and its targets."""

    input: Annotated[dict[str, Any], AfterValidator(schemacheck.check)] = Field({})
    deadline: Annotated[Duration, AfterValidator(_some_time)]
    succeeds_when: Annotated[str, Field(alias="succeedsWhen"), AfterValidator(_rule)] = "all"
    allow: Allow = Allow()
    targets: Annotated[tuple[Target, ...], AfterValidator(_named_apart)]

    @model_validator(mode="after")
    def _within_reach(self) -> AutomationSpec:
        completion.rule(self.succeeds_when, len(self.targets))
        return self


class CatalogDocument(CatalogShape):
    """One document of the catalogue file, which describes one automation."""

    api_version: Annotated[Literal["bridge/v1"], Field(alias="apiVersion")]
    kind: Literal["Automation"]
    metadata: Metadata
    spec: AutomationSpec
