"""The types of the HTTP API's answers.

These types, with those of `deadletterview` and `configurationview`, are the only definition of the answers: `/openapi.json`
is generated from them, including the descriptions. A key that is `NotRequired` is absent if it has no value. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict  # pydantic reads the TypedDict of the standard library from Python 3.12 on

FINAL = frozenset({"Succeeded", "Failed", "Canceled", "TimedOut"})  #: statuses that a run never leaves

Status = TypeAliasType(
    "Status",
    Annotated[
        Literal["Pending", "Running", "Canceling", "Succeeded", "Failed", "Canceled", "TimedOut"],
        Field(description="The last four are final."),
    ],
)
CorrelationId = TypeAliasType(
    "CorrelationId",
    Annotated[
        str,
        Field(pattern="^[A-Za-z0-9._:@-]{1,100}$", examples=["order-4711"], json_schema_extra={"not": {"enum": [".", ".."]}}),
    ],
)
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Count = Annotated[int, Field(ge=0)]
Json = Annotated[Any, Field(description="Any JSON value.")]


class ViolationView(TypedDict):
    """A violation of a rule by an input or event, and its place."""

    pointer: Annotated[str, Field(description="JSON pointer (RFC 6901)")]
    rule: str
    detail: str


class RunErrorView(TypedDict):
    """Why there is no output."""

    code: str
    message: str
    hint: NotRequired[str]
    errors: NotRequired[list[ViolationView]]


class ProgressView(TypedDict, total=False):
    """The progress of a run."""

    percent: Annotated[float, Field(ge=0, le=100)]
    message: str


class AttemptView(TypedDict):
    """One try of an invocation."""

    startedAt: Time
    outcome: Annotated[
        Literal["Running", "Accepted", "Succeeded", "Failed", "Unknown"], Field(description="Unknown: it may have run, but no answer came.")
    ]
    durationMs: NotRequired[Annotated[Count, Field(description="Milliseconds; absent while it runs.")]]
    code: NotRequired[str]
    message: NotRequired[str]
    errorsWritten: NotRequired[
        Annotated[Count, Field(description="Error records that a PowerShell function wrote; absent if there are none.")]
    ]


class LateResultView(TypedDict):
    """A result that arrived after its invocation had ended."""

    status: Status
    receivedAt: Time
    output: NotRequired[Json]
    error: NotRequired[RunErrorView]


class InvocationView(TypedDict):
    """One target's part of a run."""

    target: Annotated[str, Field(pattern="^[a-z0-9-]{1,24}$")]
    status: Status
    attempts: list[AttemptView]
    output: NotRequired[Json]
    error: NotRequired[RunErrorView]
    lateResult: NotRequired[LateResultView]


class WaitingForView(TypedDict):
    """What an unfinished run is waiting for."""

    reason: Annotated[
        Literal[
            "Cancel",
            "BreakerOpen",
            "TargetBusy",
            "NextAttempt",
            "Function",
            "StatusOfFunction",
            "ResultEvent",
            "NobodyServes",
            "AppStarting",
            "Delivery",
        ],
        Field(description="The word a program goes by."),
    ]
    message: Annotated[str, Field(description="The same in words.")]
    until: NotRequired[Annotated[Time, Field(description="Until when at the latest.")]]


class RunView(TypedDict):
    """The record of one request."""

    correlationId: CorrelationId
    automation: str
    status: Status
    createdAt: Time
    updatedAt: Time
    deadline: Time
    invocations: list[InvocationView]
    input: NotRequired[Annotated[Any, Field(description="The input; what its schema calls writeOnly is `***`.")]]
    output: NotRequired[
        Annotated[
            Any,
            Field(description="One target: its output. Several: {target: output} of those that succeeded. Absent until the end."),
        ]
    ]
    error: NotRequired[RunErrorView]
    progress: NotRequired[ProgressView]
    waitingFor: NotRequired[WaitingForView]
    expiresAt: NotRequired[Annotated[Time, Field(description="Until when an ended run can be looked up.")]]
    rerunOf: NotRequired[CorrelationId]


class ProblemView(TypedDict):
    """A problem (RFC 9457)."""

    type: Annotated[str, Field(description="`urn:automation-bridge:problem:` and the code.", json_schema_extra={"format": "uri"})]
    title: str
    status: int
    code: Annotated[str, Field(description="The word a program goes by.")]
    detail: Annotated[str, Field(description="What happened.")]
    hint: NotRequired[Annotated[str, Field(description="What to do next.")]]
    errors: NotRequired[list[ViolationView]]


class RunsView(TypedDict):
    """Runs, newest first."""

    items: list[RunView]
    nextCursor: NotRequired[Annotated[str, Field(description="Absent on the last page.")]]


class BatchAnswerView(TypedDict):
    """A run or a problem for each event."""

    items: list[RunView | ProblemView]


class AllowView(TypedDict, total=False):
    """Roles. If a list is absent, the default applies."""

    submit: list[str]
    read: list[str]


class AutomationView(TypedDict):
    """A named unit of work that callers can request."""

    name: str
    description: str
    input: Annotated[dict[str, Any], Field(description="JSON Schema 2020-12.")]
    deadline: Annotated[str, Field(examples=["2m"])]
    succeedsWhen: Annotated[str, Field(pattern="^(all|any|best-effort|quorum:[1-9][0-9]*)$")]
    allow: AllowView
    targets: list[dict[str, Any]]
    unserved: NotRequired[Annotated[dict[str, str], Field(description="Why nobody serves a target, by the name of the target.")]]


class AutomationsView(TypedDict):
    """The automations in the catalogue."""

    items: list[AutomationView]


class DiscrepancyView(TypedDict):
    """An id that does not fit, and why."""

    correlationId: str
    what: str


class AuditReportView(TypedDict):
    """What was accepted, and how it ended."""

    takenAt: Time
    accepted: Annotated[Count, Field(description="Ended, forgotten and unfinished together.")]
    ended: Annotated[dict[str, Count], Field(description="By final status.")]
    forgotten: Annotated[Count, Field(description="Ended, and kept no longer.")]
    unfinished: Count
    replies: Annotated[Count, Field(description="Ended runs whose reply was published.")]
    repliesDue: Annotated[Count, Field(description="Ended just now; the reply is on its way.")]
    deadLetters: Annotated[dict[str, Count], Field(description="By reason.")]
    notAccepted: Annotated[Count, Field(description="Requested and never accepted: the caller got an error, or no answer.")]
    misfits: Annotated[list[DiscrepancyView], Field(description="The first thousand.")]
    misfitCount: Count


class InvocationStateView(TypedDict):
    """What a running function may know of its invocation."""

    canceled: bool
    deadline: Time


class LiveView(TypedDict):
    """The process is running."""

    status: Literal["live"]


class ReadyView(TypedDict):
    """Whether requests can be accepted."""

    status: Annotated[
        Literal["ready", "degraded", "not ready"],
        Field(description="degraded: nobody serves some of the targets, or certificates are about to expire."),
    ]
    reasons: NotRequired[Annotated[list[str], Field(description="Why it is degraded.")]]
    parts: Annotated[dict[str, str], Field(description="Each component the bridge depends on: `ok`, or what is wrong with it.")]
