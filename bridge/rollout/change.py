"""What a rollout changes, and what each kind of change means for callers and for runs in hand."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """How much a change matters. What is not judged counts as something that breaks, until somebody has looked."""

    BREAKS = "breaks"
    UNJUDGED = "not judged"
    NOTE = "note"


class ChangedFile(StrEnum):
    """The file in which the change stands."""

    CATALOGUE = "catalogue"
    POLICIES = "policies"
    SETTINGS = "settings"


CALLERS, IN_HAND, BOTH = "callers", "runs in hand", "callers and runs in hand"


@dataclass(frozen=True)
class ChangeKind:
    """One kind of change: whom it hurts, and what to do. `in_hand`: runs in hand meet it, so that their number is worth knowing."""

    name: str
    weight: Weight
    hurts: str = ""
    mend: str = ""
    in_hand: bool = False


_BREAKING = (
    ChangeKind(
        "automation-removed",
        Weight.BREAKS,
        CALLERS,
        "Keep it until nobody asks for it (`bridge list --automation NAME --since 7d`). Runs in hand go on by the plan stored in them, so "
        "keep its functions until they have ended.",
        in_hand=True,
    ),
    ChangeKind(
        "input-narrowed",
        Weight.BREAKS,
        CALLERS,
        "Let the schema take both forms until every caller has changed, or give the new form another automation name. Reruns of old "
        "inputs and requests that still wait on a topic are refused, too.",
    ),
    ChangeKind("secret-shown", Weight.BREAKS, CALLERS, "Leave writeOnly where it is; runs in hand stay masked, new ones would not be."),
    ChangeKind(
        "deadline-shorter",
        Weight.BREAKS,
        CALLERS,
        "See how long runs take (`bridge list --automation NAME`); runs in hand keep the deadline that they have.",
    ),
    ChangeKind(
        "submit-stricter", Weight.BREAKS, CALLERS, "Give the callers one of the roles first (setting tokens, topics). Runs in hand go on."
    ),
    ChangeKind("read-stricter", Weight.BREAKS, CALLERS, "Give the readers one of the roles first. Runs in hand keep their readers."),
    ChangeKind(
        "completion-changed", Weight.BREAKS, CALLERS, "Tell the callers what success means now; runs in hand keep the rule that they have."
    ),
    ChangeKind(
        "output-changed",
        Weight.BREAKS,
        CALLERS,
        "One target: the output is its output; several: {target: output}. Tell the callers, or give the new form another name.",
    ),
    ChangeKind(
        "target-removed",
        Weight.BREAKS,
        BOTH,
        "Its output is gone for callers. Runs in hand still call it: keep its function until they have ended.",
        in_hand=True,
    ),
    ChangeKind(
        "target-renamed", Weight.BREAKS, CALLERS, "The name is a key of the output and part of the invocation id; keep the old name."
    ),
    ChangeKind(
        "target-moved",
        Weight.BREAKS,
        IN_HAND,
        "Runs in hand go to the old place: serve both until the longest deadline has passed.",
        in_hand=True,
    ),
    ChangeKind(
        "outcome-changed",
        Weight.BREAKS,
        CALLERS,
        "The same answer of the function ends in another way; deploy function and catalogue together. Runs in hand keep what they have.",
        in_hand=True,
    ),
    ChangeKind("attempts-fewer", Weight.BREAKS, CALLERS, "A failure that was repeated is final sooner; runs in hand keep their number."),
    ChangeKind(
        "timeout-shorter",
        Weight.BREAKS,
        BOTH,
        "Calls that took longer are cut off and tried again; policies count for runs in hand at once. See how long attempts take "
        "(`bridge get ID`).",
        in_hand=True,
    ),
    ChangeKind(
        "retries-fewer",
        Weight.BREAKS,
        BOTH,
        "A failure that was repeated is final sooner; policies count for runs in hand at once.",
        in_hand=True,
    ),
    ChangeKind(
        "deadline-exceeded",
        Weight.BREAKS,
        BOTH,
        "Lengthen the deadline, or shorten timeout and retries: the deadline cuts the last attempts off, and the run ends TimedOut.",
        in_hand=True,
    ),
    ChangeKind(
        "reply-topic-removed",
        Weight.BREAKS,
        BOTH,
        "Requests that name it are refused. Runs in hand still reply there: keep the topic until they have ended.",
    ),
    ChangeKind("reply-topic-moved", Weight.BREAKS, CALLERS, "Requesters that name no topic look for their replies in the old one."),
    ChangeKind(
        "request-topic-removed", Weight.BREAKS, CALLERS, "Nobody takes the requests that arrive there: let the topic run empty first."
    ),
    ChangeKind(
        "topic-identity-changed",
        Weight.BREAKS,
        BOTH,
        "A request that is delivered again is then another caller's, and a conflict; its requester cannot read the runs of before. Let the "
        "topic run empty first.",
    ),
    ChangeKind(
        "topic-roles-fewer", Weight.BREAKS, CALLERS, "Automations that ask for one of these roles refuse the requests of the topic."
    ),
    ChangeKind(
        "function-app-removed",
        Weight.BREAKS,
        IN_HAND,
        "Keep its address until the runs that call it have ended; they fail with UnknownApp.",
        in_hand=True,
    ),
    ChangeKind("limit-lower", Weight.BREAKS, CALLERS, "See what callers send and how long they look back before it is lowered."),
)
_OTHERS = (
    ChangeKind(
        "input-unjudged",
        Weight.UNJUDGED,
        CALLERS,
        "Compare the two schemas; submit an input that callers send to a bridge with the new one.",
    ),
    ChangeKind(
        "request-changed",
        Weight.UNJUDGED,
        CALLERS,
        "The function gets another request. Whether it takes it is not known here; runs in hand keep the old one, so it has to take both.",
        in_hand=True,
    ),
    ChangeKind(
        "unknown-field", Weight.UNJUDGED, BOTH, "One of the two versions does not know this field; read the changelog between them."
    ),
    ChangeKind("automation-added", Weight.NOTE),
    ChangeKind("input-widened", Weight.NOTE),
    ChangeKind(
        "property-described",
        Weight.NOTE,
        CALLERS,
        "Any value was taken for it before, because properties that are not listed are let through.",
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
    ChangeKind("policy-changed", Weight.NOTE, BOTH, "Pauses and circuit breakers count for runs in hand at once."),
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
    """One change: what it is, of which automation, app or setting, and at which place of which file."""

    kind: ChangeKind
    subject: str
    message: str
    file: ChangedFile
    path: tuple[str | int, ...] = ()

    @property
    def breaks(self) -> bool:
        """Whether somebody has to look before the rollout."""
        return self.kind.weight is not Weight.NOTE


def change(kind: str, file: ChangedFile, subject: str, message: str, *path: str | int) -> RolloutChange:
    """A change of this kind at the path of the document of the subject."""
    return RolloutChange(KINDS[kind], subject, message, file, path)
