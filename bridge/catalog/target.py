"""One place where an automation runs: a function that is called over HTTP, or a topic or queue."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from msgspec import Raw
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bridge.catalog.failedwhen import FailedWhen, one_or_more
from bridge.catalog.mapping import HttpRequestMapping
from bridge.outcome.errorswritten import Errors
from bridge.outcome.following import Follow

TargetName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,24}$")]


class CatalogShape(BaseModel):
    """The base of all parts of the catalogue: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class HttpTarget(HttpRequestMapping):
    """A function that is called over HTTP. `app` is a configured name, never a URL. `concurrency` limits the calls of each bridge.

    `errors`, here and below, says whether error records of a PowerShell function make the invocation fail.
    """

    app: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 20
    follow: Follow | None = None
    errors: Errors | None = None
    failed_when: Annotated[tuple[FailedWhen, ...], BeforeValidator(one_or_more)] | None = Field(None, alias="failedWhen")


class BusTarget(CatalogShape):
    """A function, or another program, behind a topic or a queue. `attempts` is the maximum of dispatches, including the first.

    `body` is the content of the message: the whole `automation.invoked` event, or only the input. `completes` says what ends the
    invocation: a result event, the settlement that the local functions host reports, or the acceptance of the message by the broker.
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


class Target(CatalogShape):
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
