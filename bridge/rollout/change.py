"""The kinds of changes in a rollout, and what each means for callers and for runs in progress."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """How much a change matters. A change that cannot be judged counts as breaking until somebody has looked at it."""

    BREAKS = "breaks"
    UNJUDGED = "not judged"
    NOTE = "note"


class ChangedFile(StrEnum):
    """The file that contains the change."""

    CATALOGUE = "catalogue"
    POLICIES = "policies"
    SETTINGS = "settings"


CALLERS, IN_HAND, BOTH = "callers", "runs in hand", "callers and runs in hand"


@dataclass(frozen=True)
class ChangeKind:
    """One kind of change: whom it affects, and what to do. `in_hand`: it affects runs in progress, whose number is then reported."""

    name: str
    weight: Weight
    affects: str = ""
    mend: str = ""
    in_hand: bool = False


_BREAKING = (
    ChangeKind(
        "automation-removed",
        Weight.BREAKS,
        CALLERS,
        "Keep it until nobody requests it any more (`bridge list --automation NAME --since 7d`). Runs in hand follow the plan "
        "stored in them, so keep its functions until they have ended.",
        in_hand=True,
    ),
    ChangeKind(
        "input-narrowed",
        Weight.BREAKS,
        CALLERS,
        "Let the schema accept both forms until every caller has changed, or give the new form another automation name. Reruns of "
        "old inputs and requests still waiting on a topic are refused, too.",
    ),
    ChangeKind("secret-shown", Weight.BREAKS, CALLERS, "Keep writeOnly where it is; runs in hand stay masked, new ones would not be."),
    ChangeKind(
        "deadline-shorter",
        Weight.BREAKS,
        CALLERS,
        "Check how long runs take (`bridge list --automation NAME`); runs in hand keep their deadline.",
    ),
    ChangeKind(
        "submit-stricter",
        Weight.BREAKS,
        CALLERS,
        "Give the callers one of the roles first (settings tokens, topics). Runs in hand are not affected.",
    ),
    ChangeKind("read-stricter", Weight.BREAKS, CALLERS, "Give the readers one of the roles first. Runs in hand keep their readers."),
    ChangeKind("completion-changed", Weight.BREAKS, CALLERS, "Tell the callers what success means now; runs in hand keep their rule."),
    ChangeKind(
        "output-changed",
        Weight.BREAKS,
        CALLERS,
        "With one target the output is that target's; with several it is {target: output}. Tell the callers, or give the new form "
        "another name.",
    ),
    ChangeKind(
        "target-removed",
        Weight.BREAKS,
        BOTH,
        "Callers no longer get its output. Runs in hand still call it: keep its function until they have ended.",
        in_hand=True,
    ),
    ChangeKind(
        "target-renamed", Weight.BREAKS, CALLERS, "The name is a key of the output and part of the invocation id; keep the old name."
    ),
    ChangeKind(
        "target-moved",
        Weight.BREAKS,
        IN_HAND,
        "Runs in hand still go to the old place: serve both until the longest deadline has passed.",
        in_hand=True,
    ),
    ChangeKind(
        "outcome-changed",
        Weight.BREAKS,
        CALLERS,
        "The same answer of the function now leads to another outcome; deploy function and catalogue together. Runs in hand keep "
        "the old rule.",
        in_hand=True,
    ),
    ChangeKind(
        "attempts-fewer",
        Weight.BREAKS,
        CALLERS,
        "A failure that was retried is final sooner; runs in hand keep their number of attempts.",
    ),
    ChangeKind(
        "timeout-shorter",
        Weight.BREAKS,
        BOTH,
        "Calls that take longer are cut off and retried; policies apply to runs in hand at once. Check how long attempts take "
        "(`bridge get ID`).",
        in_hand=True,
    ),
    ChangeKind(
        "retries-fewer",
        Weight.BREAKS,
        BOTH,
        "A failure that was retried is final sooner; policies apply to runs in hand at once.",
        in_hand=True,
    ),
    ChangeKind(
        "deadline-exceeded",
        Weight.BREAKS,
        BOTH,
        "Extend the deadline, or reduce timeout and retries: the deadline cuts off the last attempts, and the run ends TimedOut.",
        in_hand=True,
    ),
    ChangeKind(
        "reply-topic-removed",
        Weight.BREAKS,
        BOTH,
        "Requests that name it are refused. Runs in hand still reply there: keep the topic until they have ended.",
    ),
    ChangeKind("reply-topic-moved", Weight.BREAKS, CALLERS, "Requesters that name no topic expect their replies on the old one."),
    ChangeKind("request-topic-removed", Weight.BREAKS, CALLERS, "Nothing consumes the requests that arrive there: drain the topic first."),
    ChangeKind(
        "topic-identity-changed",
        Weight.BREAKS,
        BOTH,
        "A redelivered request then counts as another caller's, and is a conflict; its requester cannot read earlier runs. Drain "
        "the topic first.",
    ),
    ChangeKind("topic-roles-fewer", Weight.BREAKS, CALLERS, "Automations that require one of these roles refuse requests from the topic."),
    ChangeKind(
        "function-app-removed",
        Weight.BREAKS,
        IN_HAND,
        "Keep its address until the runs that call it have ended; they fail with UnknownApp.",
        in_hand=True,
    ),
    ChangeKind("limit-lower", Weight.BREAKS, CALLERS, "Before you lower it, check what callers send and how far they look back."),
)
_OTHERS = (
    ChangeKind(
        "input-unjudged",
        Weight.UNJUDGED,
        CALLERS,
        "Compare the two schemas; submit a typical caller's input to a bridge with the new one.",
    ),
    ChangeKind(
        "request-changed",
        Weight.UNJUDGED,
        CALLERS,
        "The function gets a different request. Whether it accepts that is not known here; runs in hand send the old one, so it "
        "must accept both.",
        in_hand=True,
    ),
    ChangeKind(
        "unknown-field", Weight.UNJUDGED, BOTH, "One of the two versions does not know this field; read the changelog between the two."
    ),
    ChangeKind("automation-added", Weight.NOTE),
    ChangeKind("input-widened", Weight.NOTE),
    ChangeKind(
        "property-described",
        Weight.NOTE,
        CALLERS,
        "Before, any value was accepted, because properties that are not listed are allowed.",
    ),
    ChangeKind("secret-hidden", Weight.NOTE),
    ChangeKind("deadline-longer", Weight.NOTE),
    ChangeKind("submit-wider", Weight.NOTE),
    ChangeKind("read-wider", Weight.NOTE),
    ChangeKind("completion-reworded", Weight.NOTE),
    ChangeKind("target-added", Weight.NOTE),
    ChangeKind("attempts-more", Weight.NOTE),
    ChangeKind("concurrency-changed", Weight.NOTE),
    ChangeKind("description-changed", Weight.NOTE),
    ChangeKind("policy-changed", Weight.NOTE, BOTH, "Pauses and circuit breakers apply to runs in hand at once."),
    ChangeKind("retries-more", Weight.NOTE),
    ChangeKind("timeout-longer", Weight.NOTE),
    ChangeKind("topic-added", Weight.NOTE),
    ChangeKind("topic-roles-more", Weight.NOTE),
    ChangeKind("function-app-added", Weight.NOTE),
    ChangeKind("limit-higher", Weight.NOTE),
)
KINDS = {kind.name: kind for kind in (*_BREAKING, *_OTHERS)}


@dataclass(frozen=True)
class RolloutChange:
    """One change: its kind, the automation, app or setting, and its place in the file."""

    kind: ChangeKind
    subject: str
    message: str
    file: ChangedFile
    path: tuple[str | int, ...] = ()

    @property
    def breaks(self) -> bool:
        """Whether somebody has to look at it before the rollout."""
        return self.kind.weight is not Weight.NOTE


def change(kind: str, file: ChangedFile, subject: str, message: str, *path: str | int) -> RolloutChange:
    """A change of this kind, at the path in the document of the subject."""
    return RolloutChange(KINDS[kind], subject, message, file, path)
