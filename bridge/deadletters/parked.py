"""A message in a dead-letter queue of the broker, seen as a dead letter. This module does no I/O; `brokerletters.py` does.

Its id is `<queue>@<number>` or `<topic>~<subscription>@<number>`, where the number is its sequence number. So the id leads to the message
without a record in the bridge. The copy that a replay sends has a message id made from that id. If a replay was interrupted before the
message was settled, it is repeated with the same message id, and duplicate detection does not confuse it with the message that was
dead-lettered.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta

from bridge.deadletters.deadletter import DeadLetter, Replay, attributes, is_token, short_text
from bridge.errors import NotFound
from bridge.ports import ParkedMessage
from bridge.redaction import Path, redact_text, secret_texts

_ID = re.compile(r"([A-Za-z0-9._-]{1,260})(?:~([A-Za-z0-9._-]{1,260}))?@([0-9]{1,19})")
LONGEST_MESSAGE_ID = 128  #: characters (quota of Service Bus)
NO_REASON = "DeadLettered"  #: the reason of a message whose receiver gave none

#: What can be done about the reasons that Service Bus gives itself (Azure documentation, "Overview of Service Bus dead-letter queues").
_HINTS = {
    "MaxDeliveryCountExceeded": "Its receiver failed each time. Find out why in the receiver's log, fix it, then replay.",
    "TTLExpiredException": "No receiver took it in time. Check that its receiver is running, then replay, or discard what is too old.",
    "HeaderSizeExceeded": "Its properties are too large. Send fewer or shorter ones, then discard this one.",
    "MaxTransferHopCountExceeded": "It was forwarded too often. Break the chain of ForwardTo, then replay.",
    "SessionIdMissing": "Its sender must set a session id; discard this one and send it anew.",
}


def is_parked(dead_letter_id: str) -> bool:
    """Whether the id is that of a message in a dead-letter queue of the broker."""
    return _ID.fullmatch(dead_letter_id) is not None


def place(dead_letter_id: str) -> tuple[str, int]:
    """The entity and the sequence number in an id. Raises NotFound if the id has another form."""
    match = _ID.fullmatch(dead_letter_id)
    if match is None:
        raise NotFound(f"There is no dead letter {dead_letter_id[:100]!r}.", hint="GET /v1/deadletters lists them.")
    return "/".join(part for part in match.group(1, 2) if part), int(match[3])


def letter_id(parked: ParkedMessage) -> str:
    """The id of the dead letter."""
    return f"{parked.entity.replace('/', '~')}@{parked.number}"


def dead_letter(parked: ParkedMessage, secret_paths: tuple[Path, ...], replay_of: str = "") -> DeadLetter:
    """The message as a dead letter. `secret_paths` are the places in its event to redact."""
    message = parked.message
    named = attributes(message.body)
    secrets = [text for name, text in message.properties.items() if is_token(name)]
    secrets += [str(value) for name, value in named.items() if is_token(name)]
    secrets += secret_texts(named.get("data") if "specversion" in named else named, secret_paths)
    try:
        body = {"body": message.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(message.body).decode()}
    return DeadLetter(
        id=letter_id(parked),
        reason=parked.reason or NO_REASON,
        detail=redact_text((parked.description or parked.reason or "Its receiver gave no reason.")[:2000], secrets),
        hint=_HINTS.get(parked.reason, ""),
        source=parked.entity,
        topic=message.topic,
        attempts=parked.deliveries,
        kept_at=parked.enqueued_at,
        correlation_id=message.correlation_id or short_text(named, "correlationid"),
        causation_id=short_text(named, "causationid"),
        automation=message.label or short_text(named, "subject"),
        content_type=message.content_type,
        secret_paths=secret_paths,
        entity=parked.entity,
        properties=message.properties,
        reaches=parked.reaches,
        replay_of=replay_of,
        **body,
    )


def claimed(letter: DeadLetter, replay: Replay, content: bytes, lease: timedelta) -> DeadLetter:
    """The dead letter with a claim for a replay of `content`. An edited event gets its own id, because another edit may follow."""
    found = letter.claimed(replay, content, lease)
    assert found.claim is not None  # noqa: S101 - it was just made
    if not replay.edited and len(found.claim.replay.message_id) <= LONGEST_MESSAGE_ID:
        return found
    digest = hashlib.sha256(content).hexdigest()[:8] if replay.edited else ""
    message_id = ".".join(part for part in (found.claim.replay.message_id, digest) if part)
    if len(message_id) > LONGEST_MESSAGE_ID:
        message_id = hashlib.sha256(message_id.encode()).hexdigest()
    renamed = found.claim.replay.model_copy(update={"message_id": message_id})
    return found.model_copy(update={"claim": found.claim.model_copy(update={"replay": renamed})})
