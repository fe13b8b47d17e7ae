"""A dead letter: an event that could not be handled, the reason, and its replays. This module does no I/O; `store.py` does.

A replay is claimed in the record before its message is published, and confirmed afterwards. Whoever reads the record in between, or after a
crash in between, sees that the replay is in progress. After some time the replay may be claimed again with the same message id, so that a
receiver of the first message recognizes the second one as a repeat.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from bridge.errors import BeingReplayed, Malformed, NotReplayable
from bridge.jsontext import parse_json
from bridge.nextstep import CLOCKS_DIFFER
from bridge.redaction import MASK, Path, masked

_TOKENS = frozenset({"invocationtoken", "authsignature"})
_WORDS = re.compile(r"[^a-z0-9]+")


class _CamelCaseModel(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Replay(_CamelCaseModel):
    """One replay of an event. Its message has the id `message_id`: `<id of the dead letter>/<number of the replay>`."""

    at: datetime
    by: str
    message_id: str = ""
    edited: bool = False
    unconfirmed: bool = False  #: it was interrupted and another one took its place, so it is not known whether it was published

    def view(self) -> dict[str, Any]:
        """What an admin sees of the replay."""
        shown = self.model_dump(mode="json", by_alias=True, include={"at", "by", "message_id", "edited"})
        return {**shown, "unconfirmed": True} if self.unconfirmed else shown


class Claim(_CamelCaseModel):
    """A replay in progress. No other one starts before `until`. `digest` is that of the published event, `key` makes every claim unique."""

    replay: Replay
    until: datetime
    digest: str
    key: str


class DeadLetter(_CamelCaseModel):
    """An event that was refused or given up on. The original is in `body` as text or, if it is not text, in `body_base64`."""

    id: str
    reason: str
    detail: str
    hint: str = ""  #: what the sender can do about it
    source: str
    topic: str
    attempts: int
    kept_at: datetime
    correlation_id: str = ""
    causation_id: str = ""
    automation: str = ""
    content_type: str = ""
    body: str = ""
    body_base64: str = ""
    secret_paths: tuple[Path, ...] = ()
    entity: str = ""  #: the queue or "topic/subscription" in whose dead-letter sub-queue it is; empty if the bridge keeps it
    properties: Mapping[str, str] = {}  #: the application properties of the message there
    reaches: tuple[str, ...] = ()  #: the subscriptions that a replay of the message there reaches
    replay_of: str = ""  #: the id of the dead letter whose replay came back as this one
    replays: tuple[Replay, ...] = ()
    claim: Claim | None = None
    discarded: bool = False
    version: int = 1  #: of this form of the record

    def original(self) -> bytes:
        """The event exactly as it arrived."""
        return base64.b64decode(self.body_base64) if self.body_base64 else self.body.encode()

    @property
    def size(self) -> int:
        """The approximate size of its event in bytes."""
        return len(self.body) + len(self.body_base64)

    @property
    def was_replayed(self) -> bool:
        """Whether its event has been published again, from this dead letter or from the one it came back from."""
        return bool(self.replays or self.replay_of)

    def has_sent(self, message_id: str) -> bool:
        """Whether a replay of this dead letter, confirmed or not, has this message id."""
        known = [*self.replays, *([self.claim.replay] if self.claim else [])]
        return any(replay.message_id == message_id for replay in known)

    def claimed(self, replay: Replay, body: bytes, lease: timedelta, *, numbered: bool = False) -> DeadLetter:
        """The record with a claim for a replay that publishes `body`. The replay gets its message id here.

        Raises BeingReplayed while another claim is valid. Raises NotReplayable for a `numbered` replay after an interrupted one of another
        event, because it is unknown which of the two has that number.
        """
        self.require_unclaimed(replay.at)
        replays, digest = self.replays, hashlib.sha256(body).hexdigest()
        if self.claim is not None and self.claim.digest != digest:
            if numbered:
                raise NotReplayable(
                    f"A replay of dead letter {self.id} with another event was interrupted; whether it was published is not known.",
                    hint=f"Decide by hand: `bridge deadletters replay {self.id}`, with --event for an edited event.",
                )
            # Another event may have gone out under that message id, so this one needs an id of its own.
            replays = (*replays, self.claim.replay.model_copy(update={"unconfirmed": True}))
        replay = replay.model_copy(update={"message_id": f"{self.id}/{len(replays) + 1}"})
        claim = Claim(replay=replay, until=replay.at + lease, digest=digest, key=secrets.token_hex(8))
        return self.model_copy(update={"replays": replays, "claim": claim})

    def require_unclaimed(self, now: datetime) -> None:
        """Raise BeingReplayed while a claim is valid. A claim that begins in the future has ended, because the clock was set back."""
        if self.claim is not None and self.claim.replay.at - CLOCKS_DIFFER <= now < self.claim.until:
            since, until = (moment.isoformat(timespec="seconds") for moment in (self.claim.replay.at, self.claim.until))
            raise BeingReplayed(f"{self.claim.replay.by} replays dead letter {self.id} since {since}.", hint=f"Look again after {until}.")

    def is_done(self, number: int) -> bool:
        """Whether the replay with this number has been made. Raises Malformed if it is neither that nor the next one."""
        if number > len(self.replays) + 1:
            raise Malformed(f"number={number} is not the next replay of dead letter {self.id}: it has {len(self.replays)}.")
        return number <= len(self.replays)

    def confirmed(self) -> DeadLetter:
        """The record with the claimed replay among the finished ones."""
        done = (self.claim.replay,) if self.claim else ()
        return self.model_copy(update={"replays": (*self.replays, *done), "claim": None})

    def released(self, now: datetime, *, sure: bool) -> DeadLetter:
        """The record, free for the next replay.

        A replay of the same event has the same message id, unless it is `sure` that nothing was published.
        """
        left = None if sure or self.claim is None else self.claim.model_copy(update={"until": now})
        return self.model_copy(update={"claim": left})

    def view(self, *, event: bool = True) -> dict[str, Any]:
        """What an admin sees: the record with the decoded event (unless `event` is false), tokens and `writeOnly` input redacted."""
        hidden = {"version", "secret_paths", "discarded", "body", "body_base64", "properties", "replays", "claim"}
        shown = self.model_dump(mode="json", by_alias=True, exclude=hidden, exclude_defaults=True)
        if self.properties:
            shown["properties"] = {name: MASK if is_token(name) else text for name, text in self.properties.items()}
        if self.replays:
            shown["replays"] = [replay.view() for replay in self.replays]
        if self.claim is not None:
            shown["replaying"] = {**self.claim.replay.view(), **self.claim.model_dump(mode="json", include={"until"})}
        return {**shown, **self._shown_event()} if event else shown

    def _shown_event(self) -> dict[str, Any]:
        try:
            found = parse_json(self.original())
        except Malformed:
            return {"body": self.body or self.body_base64}
        shown = [self.redacted(each) for each in found] if isinstance(found, list) else self.redacted(found)
        is_event = isinstance(found, dict) and "specversion" in found
        # What is no event may be the bare input of a target that takes it so.
        return {"event": shown if is_event else masked(shown, self.secret_paths)}

    def redacted(self, event: Any) -> Any:
        """The event with `***` in place of every secret."""
        if not isinstance(event, dict):
            return event
        secret = {*_TOKENS, "data_base64"} if self.secret_paths else _TOKENS
        event = {name: MASK if name in secret else value for name, value in event.items()}
        return {**event, "data": masked(event["data"], self.secret_paths)} if "data" in event else event


def is_token(name: str) -> bool:
    """Whether an application property is a token, in any letter case and with any prefix, such as `cloudEvents:`."""
    return _WORDS.split(name.casefold())[-1] in _TOKENS


def attributes(body: bytes) -> Mapping[str, Any]:
    """The attributes of an event as they are written in it; none if the body is not a JSON object."""
    try:
        event = parse_json(body)
    except Malformed:
        return {}
    return event if isinstance(event, dict) else {}


def short_text(named: Mapping[str, Any], name: str) -> str:
    """An attribute that is an id or a name; a text that is too long for either counts as missing."""
    value = named.get(name)
    return value if isinstance(value, str) and len(value) <= 130 else ""
