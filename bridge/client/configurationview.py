"""The types of the answer of `GET /v1/configuration`."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from bridge.client.answers import AutomationView


class PolicyView(TypedDict):
    """The effective policy of a function app."""

    timeout: Annotated[str, Field(description="Of one attempt.", examples=["25s"])]
    attempts: NotRequired[Annotated[int, Field(description="The most; absent where only the deadline is a limit.")]]
    longest: NotRequired[Annotated[str, Field(description="From the start of the first to the end of the last attempt; likewise.")]]
    retried: Annotated[str, Field(description="The statuses after which an attempt is made again.", examples=["408,429,500-599"])]
    pauses: NotRequired[Annotated[str, Field(description="Between attempts; absent where there is one.", examples=["5s"])]]
    breaker: NotRequired[Annotated[str, Field(description="When the circuit breaker opens, for how long, and what else is not usual.")]]


class LimitsView(TypedDict):
    """Limits: sizes in bytes, and times."""

    maxInputBytes: int
    maxEventBytes: NotRequired[Annotated[int, Field(description="Absent where the bus sets none.")]]
    maxBatchBytes: int
    maxOutputBytes: int
    maxWait: str
    retention: str


class TopicIdentityView(TypedDict):
    """The caller of all requests on a topic."""

    submitter: str
    roles: list[str]


class SettingsView(TypedDict):
    """The settings that matter to callers and functions."""

    requestTopics: Annotated[dict[str, TopicIdentityView], Field(description="Where requests arrive, and as whose they count.")]
    replyTopics: Annotated[list[str], Field(description="What a request may name for its reply.")]
    defaultReplyTopic: str
    functionApps: Annotated[list[str], Field(description="Those with an address in the settings.")]
    limits: LimitsView


class ConfigurationView(TypedDict):
    """The catalogue, the policies of function calls and the settings without secrets."""

    automations: list[AutomationView]
    policies: Annotated[dict[str, PolicyView], Field(description="By function app.")]
    otherPolicy: Annotated[PolicyView, Field(description="Of every other function app.")]
    settings: SettingsView
