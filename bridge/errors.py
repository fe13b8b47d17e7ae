"""All errors of the bridge, in one tree.

BridgeError
├── ConfigurationError        settings, catalogue or policies cannot be used; lists all problems
├── Refusal                   the request is refused; the caller must change something
│   ├── Malformed             400  not JSON, not a CloudEvent, a made-up cursor
│   ├── InvalidCorrelationId  400
│   ├── Unauthorized          401
│   ├── Forbidden             403
│   ├── UnknownAutomation     404
│   ├── NotFound              404  no such run, dead letter or invocation, or not yours
│   ├── CorrelationConflict   409
│   ├── ChangedMeanwhile      409  another caller changed it at the same moment
│   ├── BeingReplayed         409  another caller is replaying this dead letter
│   ├── NotReplayable         409  the deadline of its event has passed
│   ├── NotAvailable          409  the run has no output to give
│   ├── AlreadyEnded          410
│   ├── TooLarge              413
│   ├── UnsupportedMediaType  415
│   │   └── UnsupportedContentCoding
│   ├── InvalidInput          422  with one entry for each violation in `errors`
│   ├── TooComplex            422  the input cannot be held against its schema within the bounds
│   ├── DeadlinePassed        422
│   └── ReplyTopicNotAllowed  422
├── PortError                 adapters raise these and nothing else
│   ├── Conflict                   the store holds another version of the key
│   ├── Unavailable           503  try again later; it is not known whether anything was stored
│   │   ├── LaterRelease      503  a bridge of a later release wrote it
│   │   └── Full              503  the queue or the disk has no room
│   └── Undeliverable         422  the bus refuses this message for good
└── CallFailed                a function gave no answer

Each class has a `code`, which problem+json (RFC 9457) and the errors of runs carry, and an HTTP status. `detail` says what happened,
with the value; `hint` says what to do next.
"""

from __future__ import annotations

from typing import ClassVar, TypedDict


class Violation(TypedDict):
    """One violation of the input's schema: the place (JSON pointer, RFC 6901), and the rule that it broke."""

    pointer: str
    rule: str
    detail: str


class BridgeError(Exception):
    """The base of all errors of the bridge."""

    code: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500
    default_hint: ClassVar[str] = ""

    def __init__(self, detail: str = "", *, hint: str = "", errors: list[Violation] | None = None) -> None:
        self.detail = detail or (self.__doc__ or "").strip()
        self.hint = hint or self.default_hint
        self.errors = errors or []
        super().__init__(self.detail)

    def __str__(self) -> str:
        return f"{self.detail} {self.hint}".strip()


class ConfigurationError(BridgeError):
    """The configuration cannot be used."""

    code = "InvalidConfiguration"

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Refusal(BridgeError):
    """The request cannot be taken as it is."""


class Malformed(Refusal):
    """The request is not in the form that the contract asks for."""

    code, status = "Malformed", 400


class InvalidCorrelationId(Refusal):
    """The correlation id cannot be used."""

    code, status = "InvalidCorrelationId", 400
    default_hint = "Use 1 to 100 characters of A-Z a-z 0-9 . _ : @ -, but neither . nor .. alone."


class Unauthorized(Refusal):
    """No valid token came with the request."""

    code, status = "Unauthorized", 401
    default_hint = "Send one of the configured tokens: `Authorization: Bearer <token>`."


class Forbidden(Refusal):
    """Your roles do not allow this."""

    code, status = "Forbidden", 403


class UnknownAutomation(Refusal):
    """No automation has this name."""

    code, status = "UnknownAutomation", 404
    default_hint = "GET /v1/automations lists the names."


class NotFound(Refusal):
    """It does not exist, or the caller may not read it."""

    code, status = "NotFound", 404


class CorrelationConflict(Refusal):
    """The correlation id belongs to another request."""

    code, status = "CorrelationConflict", 409
    default_hint = "Use another correlation id, or send exactly the same automation and input as the same submitter to get the first run."


class ChangedMeanwhile(Refusal):
    """Another caller changed the record at the same moment."""

    code, status = "ChangedMeanwhile", 409
    default_hint = "Look at it again before you go on."


class BeingReplayed(Refusal):
    """Another caller is replaying this dead letter."""

    code, status = "BeingReplayed", 409


class NotReplayable(Refusal):
    """This dead letter cannot be replayed as it is."""

    code, status = "NotReplayable", 409


class NotAvailable(Refusal):
    """The run has no output."""

    code, status = "NoOutput", 409
    default_hint = "GET the run itself: its `error` says why."


class AlreadyEnded(Refusal):
    """The run has already ended."""

    code, status = "AlreadyEnded", 410


class TooLarge(Refusal):
    """The body is too large."""

    code, status = "TooLarge", 413


class UnsupportedMediaType(Refusal):
    """This content type is not accepted here."""

    code, status = "UnsupportedMediaType", 415


class UnsupportedContentCoding(UnsupportedMediaType):
    """The body is compressed, or coded in another way."""

    default_hint = "Send the body as it is, without Content-Encoding."


class InvalidInput(Refusal):
    """The input does not fit the automation's schema."""

    code, status = "InvalidInput", 422


class TooComplex(Refusal):
    """Whether the input fits cannot be found out within the bounds of time and memory."""

    code, status = "InputTooComplex", 422


class DeadlinePassed(Refusal):
    """The deadline has already passed."""

    code, status = "DeadlinePassed", 422
    default_hint = "Send a deadline in the future, or none: the automation has its own."


class ReplyTopicNotAllowed(Refusal):
    """Replies may not go to this topic."""

    code, status = "ReplyTopicNotAllowed", 422
    default_hint = "Use one of the topics listed under `reply_topics` in the settings."


class PortError(BridgeError):
    """A bus, a store or another adapter could not do what was asked."""


class Conflict(PortError):
    """The key exists already, or has changed since it was read."""

    code, status = "Conflict", 409


class Unavailable(PortError):
    """Bus or store cannot be reached."""

    code, status = "Unavailable", 503
    default_hint = "Send the same request with the same correlation id again: it never starts twice."

    def __init__(self, detail: str = "", *, hint: str = "", retry_after: int = 2) -> None:
        self.retry_after = retry_after  #: seconds
        super().__init__(detail, hint=hint)


class LaterRelease(Unavailable):
    """A bridge of a later release wrote what is in the store, and not all of it is known here."""

    default_hint = "A bridge of that release can read it: roll forward, or back no further than to one that reads its records."


class Full(Unavailable):
    """There is no room for more work."""

    code = "Full"


class Undeliverable(PortError):
    """The bus refuses this message for good."""

    code, status = "Undeliverable", 422


class CallFailed(BridgeError):
    """A function gave no answer.

    `code` is ConnectionFailed (the function never started), ConnectionLost or Timeout (it may have run), AnswerTooLarge or UnknownApp.
    """

    def __init__(self, reason: str, detail: str, *, may_have_run: bool) -> None:
        self.reason = reason
        self.may_have_run = may_have_run
        super().__init__(detail)
