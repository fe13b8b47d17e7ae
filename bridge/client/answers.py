"""What the HTTP API answers (contract 3.3): its JSON as types, and the two ways to get no answer.

These types are the one place that says what an answer looks like: `/openapi.json` is made of them, descriptions included. A key that is
`NotRequired` is absent where there is nothing to say. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Where an input or event breaks which rule."""

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
    """How far a run is."""

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
    """What a function said after its invocation had ended."""

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
    """What an unfinished run waits for."""

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
    """Newest first."""

    items: list[RunView]
    nextCursor: NotRequired[Annotated[str, Field(description="Absent on the last page.")]]


class BatchAnswerView(TypedDict):
    """A run or a problem for each event."""

    items: list[RunView | ProblemView]


class AllowView(TypedDict, total=False):
    """Roles; absent means as if nothing was said."""

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
    """The catalogue."""

    items: list[AutomationView]


class ReplayView(TypedDict):
    """The event of a dead letter, published once more."""

    at: Time
    by: Annotated[str, Field(description="The caller who asked for it.")]
    messageId: Annotated[str, Field(description="Of the message: the id of the dead letter, a slash, and the number of the replay.")]
    edited: Annotated[bool, Field(description="Whether an edited event was published; the dead letter keeps the original.")]
    unconfirmed: NotRequired[Annotated[Literal[True], Field(description="It was interrupted: whether it was published is not known.")]]


class ReplayUnderWayView(ReplayView):
    """A replay that is not confirmed: under way until then; after that interrupted, and free to be made again."""

    until: Time


class DeadLetterView(TypedDict):
    """An event that led nowhere."""

    id: str
    reason: Annotated[str, Field(examples=["Malformed", "CorrelationConflict", "GaveUp", "ReplyUndeliverable", "Undeliverable"])]
    detail: str
    hint: NotRequired[Annotated[str, Field(description="What its sender can do.")]]
    source: Annotated[str, Field(description="The subscription or queue it came from.")]
    topic: Annotated[str, Field(description="Where a replay publishes it.")]
    attempts: int
    keptAt: Time
    correlationId: NotRequired[str]
    automation: NotRequired[str]
    contentType: NotRequired[str]
    causationId: NotRequired[str]
    entity: NotRequired[Annotated[str, Field(description="The queue or subscription in whose dead-letter sub-queue it is.")]]
    properties: NotRequired[Annotated[dict[str, str], Field(description="The application properties there, tokens masked.")]]
    reaches: NotRequired[Annotated[list[str], Field(description="The subscriptions that a replay reaches, as far as is known.")]]
    replayOf: NotRequired[Annotated[str, Field(description="The dead letter whose replay came back as this one.")]]
    replays: NotRequired[list[ReplayView]]
    replaying: NotRequired[ReplayUnderWayView]
    event: NotRequired[Annotated[Any, Field(description="The original, tokens and writeOnly input masked; absent with event=false.")]]
    body: NotRequired[Annotated[str, Field(description="Instead of `event`, if it is no JSON: text, or base64.")]]


class MissingView(TypedDict):
    """What the broker did not give: the dead letters of one entity, or of all."""

    detail: str
    entity: NotRequired[str]


class DeadLettersView(TypedDict):
    """Those of the bridge, newest first; then those of the broker, by entity, oldest first."""

    items: list[DeadLetterView]
    missing: NotRequired[list[MissingView]]
    nextCursor: NotRequired[Annotated[str, Field(description="Absent on the last page.")]]


class DiscrepancyView(TypedDict):
    """An id that does not fit, and why."""

    correlationId: str
    what: str


class AuditReportView(TypedDict):
    """What was accepted, and what became of it."""

    takenAt: Time
    accepted: Annotated[Count, Field(description="Ended, forgotten and unfinished together.")]
    ended: Annotated[dict[str, Count], Field(description="By final status.")]
    forgotten: Annotated[Count, Field(description="Ended, and kept no longer.")]
    unfinished: Count
    replies: Annotated[Count, Field(description="Ended runs whose reply was published.")]
    repliesDue: Annotated[Count, Field(description="Ended just now; the reply is on its way.")]
    deadLetters: Annotated[dict[str, Count], Field(description="By reason.")]
    notAccepted: Annotated[Count, Field(description="Asked for and never accepted: the caller got an error, or no answer.")]
    misfits: Annotated[list[DiscrepancyView], Field(description="The first thousand.")]
    misfitCount: Count


class InvocationStateView(TypedDict):
    """What a running function may know."""

    canceled: bool
    deadline: Time


class LiveView(TypedDict):
    """The process runs."""

    status: Literal["live"]


class ReadyView(TypedDict):
    """Whether requests can be accepted."""

    status: Annotated[
        Literal["ready", "degraded", "not ready"], Field(description="degraded: targets that nobody serves, certificates that end.")
    ]
    reasons: NotRequired[Annotated[list[str], Field(description="Why it is degraded.")]]
    parts: Annotated[dict[str, str], Field(description="Each component the bridge depends on: `ok`, or what is wrong with it.")]


class Problem(Exception):
    """The bridge refused (RFC 9457): what happened in `detail`, what to do next in `hint`, one violation an entry in `errors`."""

    def __init__(self, status: int, code: str, detail: str, hint: str = "", errors: Sequence[Mapping[str, Any]] = ()) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.errors = list(errors)
        super().__init__(f"{detail} {hint}".strip())

    @classmethod
    def read(cls, status: int, body: Any) -> Problem:
        """Make one of problem+json, or of whatever stands in its place."""
        if not isinstance(body, dict):
            return cls(status, f"Http{status}", f"The answer was HTTP {status}, from something that is not a bridge.", "Check the URL.")
        detail = str(body.get("detail") or body.get("title") or f"HTTP {status}")
        return cls(status, str(body.get("code") or f"Http{status}"), detail, str(body.get("hint") or ""), body.get("errors") or ())


class Unreachable(Exception):
    """No bridge answers at the URL."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(f"No bridge answers at {url} ({reason}). Start one with `bridge up`, or name another with --url or BRIDGE_URL.")
