"""Dapr's `Resiliency` schema (dapr.io/v1alpha1), read strictly, because daprd silently ignores a whole file for one bad value.

Of the targets only `targets.apps` is allowed. Values that Dapr reads and then ignores (a `duration` of an exponential policy, spaces
between status codes) are refused like a misspelt key.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from bridge import durations
from bridge.outcome.httpanswer import RETRIABLE_STATUSES
from bridge.resilience import trip as trips
from bridge.resilience.breaker import BreakerRules
from bridge.resilience.retry import Retry

_RANGE = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")
MAX_RETRIES = 10_000  #: keeps arithmetic bounded, and is far beyond any use
LONGEST = timedelta(hours=24)  #: keeps arithmetic bounded, too


def _span(text: object) -> timedelta:
    try:
        # Go, and so Dapr, has no unit above hours and does not read ISO 8601.
        span = durations.parse(text) if isinstance(text, str) and not {"d", "P"} & set(text) else None
    except ValueError:
        span = None
    if span is None:
        raise ValueError(f'{text!r} is not a duration of Dapr; write it like "500ms", "30s", "1m30s" or "2h"')
    if span > LONGEST:
        raise ValueError(f"{text!r} is longer than 24h")
    return span


def _more_than_none(span: timedelta) -> timedelta:
    if span < timedelta(milliseconds=1):
        raise ValueError("expected at least 1ms")
    return span


def _codes(text: str, lowest: int, highest: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not lowest <= first <= last <= highest:
            raise ValueError(f'{text!r} is not a list of codes from {lowest} to {highest}; write it like "429,500-599", without spaces')
        found.update(range(first, last + 1))
    return frozenset(found)


def _retriable(text: str) -> str:
    beyond = sorted(_codes(text, 100, 599) - RETRIABLE_STATUSES)
    if beyond:
        raise ValueError(f"{beyond[0]} is an answer that a repeat does not change; name only codes within 408,429,500-599")
    return text


def _grpc(text: str) -> str:
    _codes(text, 0, 16)
    return text


AnySpan = Annotated[timedelta, BeforeValidator(_span)]
Span = Annotated[AnySpan, AfterValidator(_more_than_none)]
PolicyName = Annotated[str, Field(min_length=1, max_length=100)]
AppName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Shape(BaseModel):
    """A mapping in the file, with keys as Dapr spells them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, validate_by_name=False)


class Matching(Shape):
    """The failures that are retried. gRPC codes are checked but not used, because functions are called over HTTP."""

    http_status_codes: Annotated[str, AfterValidator(_retriable)] | None = None
    grpc_status_codes: Annotated[str, AfterValidator(_grpc)] | None = Field(default=None, alias="gRPCStatusCodes")


class RetryShape(Shape):
    """One of `policies.retries`."""

    policy: Literal["constant", "exponential"] = "constant"
    duration: Span | None = None
    max_interval: Span | None = None
    max_retries: Annotated[int, Field(ge=-1, le=MAX_RETRIES)] = -1
    matching: Matching = Matching()

    @model_validator(mode="after")
    def _only_what_counts(self) -> Self:
        if self.policy == "exponential" and self.duration is not None:
            raise ValueError("duration is for constant policies only, an exponential one starts at 500ms; remove it")
        if self.policy == "constant" and self.max_interval is not None:
            raise ValueError("maxInterval is for exponential policies only; remove it or write policy: exponential")
        return self

    def value(self) -> Retry:
        """The retry, with Dapr's defaults."""
        codes = self.matching.http_status_codes
        return Retry(
            policy=self.policy,
            duration=self.duration or Retry().duration,
            max_interval=self.max_interval or Retry().max_interval,
            max_retries=None if self.max_retries < 0 else self.max_retries,
            statuses=RETRIABLE_STATUSES if codes is None else _codes(codes, 100, 599),
        )


class BreakerShape(Shape):
    """One of `policies.circuitBreakers`."""

    max_requests: Annotated[int, Field(ge=1, le=MAX_RETRIES)] = 1
    interval: AnySpan = timedelta(0)
    timeout: Span = timedelta(seconds=60)
    trip: Annotated[str, AfterValidator(trips.check)] = "consecutiveFailures > 5"

    def value(self) -> BreakerRules:
        """The rules of a breaker."""
        return BreakerRules(self.trip, self.timeout, self.interval, self.max_requests)


class PoliciesShape(Shape):
    """`spec.policies`: timeouts, retries and circuit breakers by name."""

    timeouts: dict[PolicyName, Span] = {}
    retries: dict[PolicyName, RetryShape] = {}
    circuit_breakers: dict[PolicyName, BreakerShape] = {}


class TargetShape(Shape):
    """One of `spec.targets.apps`: the names of its policies."""

    timeout: PolicyName | None = None
    retry: PolicyName | None = None
    circuit_breaker: PolicyName | None = None


class TargetsShape(Shape):
    """`spec.targets`, of which only `apps` is allowed here."""

    apps: dict[AppName, TargetShape] = {}


class SpecShape(Shape):
    """`spec`."""

    policies: PoliciesShape = PoliciesShape()
    targets: TargetsShape = TargetsShape()


class MetadataShape(Shape):
    """`metadata` as in every Kubernetes resource."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    namespace: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class DocumentShape(Shape):
    """The whole document. `scopes` lists the sidecars that read it; the bridge ignores it."""

    api_version: Literal["dapr.io/v1alpha1"]
    kind: Literal["Resiliency"]
    metadata: MetadataShape
    scopes: list[str] = []
    spec: SpecShape
