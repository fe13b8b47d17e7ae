"""A dead letter: one event that led nowhere, why, and what became of its replays. Pure; `deadletters.py` stores and publishes.

A replay is claimed in the letter before its message is published, and confirmed after: whoever reads the letter in between, or after a
crash in between, sees that it is under way. A claim whose time is over may be taken again under the same message id, so that whatever the
first message has reached knows the second one for a repeat.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from bridge.envelope import parse_json
from bridge.errors import BeingReplayed, Malformed, NotReplayable
from bridge.masking import MASK, Path, masked

_TOKENS = frozenset({"invocationtoken", "authsignature"})


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Replay(_Record):
    """The event published once more. `message_id` travels with the message: `<id of the letter>/<number of the replay>`."""

    at: datetime
    by: str
    message_id: str = ""
    edited: bool = False
    unconfirmed: bool = False  #: it was interrupted, and another one took its place: whether it was published is not known

    def view(self) -> dict[str, Any]:
        """What an admin sees of it."""
        shown = self.model_dump(mode="json", by_alias=True, include={"at", "by", "message_id", "edited"})
        return {**shown, "unconfirmed": True} if self.unconfirmed else shown


class Claim(_Record):
    """A replay under way. No other starts before `until`; `digest` is of what it publishes, `key` makes it unlike any other claim."""

    replay: Replay
    until: datetime
    digest: str
    key: str


class DeadLetter(_Record):
    """One event that was refused or given up. `body` is the original, as text or, if it is none, in base64."""

    id: str
    reason: str
    detail: str
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
    replay_of: str = ""  #: the letter whose replay came back as this one
    replays: tuple[Replay, ...] = ()
    claim: Claim | None = None
    discarded: bool = False

    def original(self) -> bytes:
        """The event as it came."""
        return base64.b64decode(self.body_base64) if self.body_base64 else self.body.encode()

    @property
    def was_replayed(self) -> bool:
        """Whether its event has been published again: from this letter, or from the one it came back from."""
        return bool(self.replays or self.replay_of)

    def has_sent(self, message_id: str) -> bool:
        """Whether a replay of this letter, confirmed or not, has this message id."""
        known = [*self.replays, *([self.claim.replay] if self.claim else [])]
        return any(replay.message_id == message_id for replay in known)

    def claimed(self, replay: Replay, body: bytes, lease: timedelta, *, numbered: bool = False) -> DeadLetter:
        """With a claim for a replay that publishes `body`; the message id is given to it here.

        Raises BeingReplayed while another claim lasts, and NotReplayable for a `numbered` one, which is not to follow upon a replay of
        another event that was interrupted.
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
        """Raises BeingReplayed while a claim lasts."""
        if self.claim is not None and now < self.claim.until:
            since, until = (moment.isoformat(timespec="seconds") for moment in (self.claim.replay.at, self.claim.until))
            raise BeingReplayed(f"{self.claim.replay.by} replays dead letter {self.id} since {since}.", hint=f"Look again after {until}.")

    def is_done(self, number: int) -> bool:
        """Whether the replay of this number has been made. Raises Malformed if it is neither that nor the next one."""
        if number > len(self.replays) + 1:
            raise Malformed(f"number={number} is not the next replay of dead letter {self.id}: it has {len(self.replays)}.")
        return number <= len(self.replays)

    def confirmed(self) -> DeadLetter:
        """With the claimed replay among those that were made."""
        done = (self.claim.replay,) if self.claim else ()
        return self.model_copy(update={"replays": (*self.replays, *done), "claim": None})

    def released(self, now: datetime, *, sure: bool) -> DeadLetter:
        """Free for the next replay: with the same event under the same message id, unless it is `sure` that nothing was published."""
        left = None if sure or self.claim is None else self.claim.model_copy(update={"until": now})
        return self.model_copy(update={"claim": left})

    def view(self, *, event: bool = True) -> dict[str, Any]:
        """What an admin sees: tokens and `writeOnly` input masked; the event decoded where it can be, unless it is left out."""
        unseen = {"secret_paths", "discarded", "body", "body_base64", "replays", "claim"}
        shown = self.model_dump(mode="json", by_alias=True, exclude=unseen, exclude_defaults=True)
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
        return {"event": [self.masked(each) for each in found] if isinstance(found, list) else self.masked(found)}

    def masked(self, event: Any) -> Any:
        """The event with `***` wherever something is secret."""
        if not isinstance(event, dict):
            return event
        hidden = {*_TOKENS, "data_base64"} if self.secret_paths else _TOKENS
        event = {name: MASK if name in hidden else value for name, value in event.items()}
        return {**event, "data": masked(event["data"], self.secret_paths)} if "data" in event else event


def attributes(body: bytes) -> Mapping[str, Any]:
    """What an event says of itself, as it stands there; nothing if the body is no JSON object."""
    try:
        event = parse_json(body)
    except Malformed:
        return {}
    return event if isinstance(event, dict) else {}
