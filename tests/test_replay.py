from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.deadletters import replay
from bridge.deadletters.deadletter import DeadLetter, Replay
from bridge.deadletters.replay import ReplayRequest
from bridge.errors import Malformed, NotReplayable
from bridge.ports import Message
from bridge.redaction import MASK, Path
from bridge.testing import NOON
from tests.core_kit import SECOND, event, json_values, moderate

SOON, GONE = "2026-01-31T12:00:10Z", "2026-01-31T11:59:59Z"
SECRET = (("password",), ("users", "*", "key"))
DATA = {"user": "root", "password": "hunter2", "users": [{"name": "a", "key": "k-a"}, {"name": "b", "key": "k-b"}]}


def letter(data: Any = DATA, secret_paths: tuple[Path, ...] = SECRET, **attributes: str) -> DeadLetter:
    body = event(data, **{"invocationtoken": "t0ken", **attributes}).encode().decode()
    options: dict[str, Any] = {"correlation_id": "order-1", "automation": "report", "secret_paths": secret_paths, "body": body}
    return DeadLetter(id="f" * 24, reason="GaveUp", detail="", source="work/worker", topic="work", attempts=3, kept_at=NOON, **options)


def shown(of: DeadLetter) -> dict[str, Any]:
    """What an editor starts from."""
    found: dict[str, Any] = json.loads(json.dumps(of.view()["event"]))
    return found


def sent(of: DeadLetter, edited: Any) -> Any:
    return json.loads(replay.body(of, ReplayRequest("root", edited=json.dumps(edited).encode())))


def message(of: DeadLetter, edited: Any = None) -> Message:
    content = replay.body(of, ReplayRequest("root", edited=None if edited is None else json.dumps(edited).encode()))
    claimed = of.claimed(Replay(at=NOON, by="root", edited=edited is not None), content, 30 * SECOND)
    return replay.message(claimed, content, NOON)


# Edited events.


@moderate
@given(json_values, st.sampled_from([(), SECRET, (("**", "key"),), ((),)]))
def test_what_was_shown_and_sent_back_unchanged_is_the_original(data, secret_paths):
    of = letter(data, secret_paths)
    assert sent(of, shown(of)) == json.loads(of.body)


def test_what_was_changed_is_sent_with_what_the_masks_hide():
    edited = shown(letter())
    edited["data"] |= {"user": "alice"}
    assert sent(letter(), edited)["data"] == {**DATA, "user": "alice"}


def test_a_secret_can_be_changed():
    edited = shown(letter())
    edited["data"]["password"] = "new"
    assert sent(letter(), edited)["data"]["password"] == "new"


def test_a_mask_that_hides_nothing_is_refused_with_its_place():
    edited = shown(letter({"user": "root"}))
    edited["data"]["password"] = MASK
    with pytest.raises(Malformed, match=r"has \*\*\* at /data/password, which hides no value") as caught:
        sent(letter({"user": "root"}), edited)
    assert caught.value.errors[0]["pointer"] == "/data/password"


def test_masks_in_a_list_of_another_length_are_refused():
    edited = shown(letter())
    del edited["data"]["users"][0]
    with pytest.raises(Malformed, match="/data/users/0/key"):
        sent(letter(), edited)


def test_stars_where_nothing_is_secret_are_a_text():
    edited = shown(letter())
    edited["data"]["user"] = MASK
    assert sent(letter(), edited)["data"]["user"] == MASK


def test_the_secrets_of_one_automation_are_not_sent_to_another():
    edited = shown(letter()) | {"subject": "other"}
    with pytest.raises(Malformed, match="/invocationtoken, /data/password"):
        sent(letter(), edited)


def test_an_event_without_a_subject_can_be_given_one():
    of = letter(DATA, ((),), subject="")
    assert sent(of, shown(of) | {"subject": "report"})["data"] == DATA


def test_data_in_base64_comes_back():
    of = letter().model_copy(update={"body": json.dumps({**event({}).attributes, "data_base64": "eyJwYXNzd29yZCI6MX0="})})
    assert shown(of)["data_base64"] == MASK
    assert sent(of, shown(of))["data_base64"] == "eyJwYXNzd29yZCI6MX0="


def test_large_integers_come_back_exactly():
    edited = shown(letter()) | {"data": {"n": 2**60 + 1}}
    assert sent(letter(), edited)["data"] == {"n": 2**60 + 1}


def test_what_was_no_event_can_be_replaced_by_one():
    of = letter().model_copy(update={"body": "{oops"})
    assert sent(of, {**event({"a": 1}).attributes, "data": {"a": 1}})["data"] == {"a": 1}


@pytest.mark.parametrize("edited", [[], 5, {"id": "x"}, {**event({}).attributes, "data": 1, "data_base64": "MQ=="}])
def test_what_is_no_event_is_refused(edited):
    with pytest.raises(Malformed):
        sent(letter(), edited)


def test_the_properties_of_the_message_follow_the_edited_event():
    changed = message(letter(), {**event({}).attributes, "correlationid": "order-2", "subject": "other", "data": {}})
    assert (changed.topic, changed.correlation_id, changed.label) == ("work", "order-2", "other")


# Deadlines.


def test_work_that_is_replayed_in_time_lives_until_its_deadline():
    assert message(letter(type="automation.invoked", expirytime=SOON)).time_to_live == timedelta(seconds=10)


def test_work_whose_deadline_has_passed_is_not_replayed_and_told_how_to_run_it_again():
    with pytest.raises(NotReplayable, match="its work must not start any more") as caught:
        message(letter(type="automation.invoked", expirytime=GONE, correlationid="order-1"))
    assert caught.value.hint == "`bridge rerun order-1` starts the whole run again."


@pytest.mark.parametrize("change", [{"expirytime": SOON}, {"expirytime": None}, {"type": "automation.result", "expirytime": SOON}])
def test_no_edit_moves_the_deadline_of_work(change):
    late = letter(type="automation.invoked", expirytime=GONE)
    with pytest.raises(NotReplayable):
        message(late, shown(late) | change)


def test_a_request_whose_deadline_has_passed_is_replayed_only_with_another_one():
    late = letter(expirytime=GONE)
    with pytest.raises(NotReplayable, match="would only time out") as caught:
        message(late)
    assert "bridge deadletters show ffffffffffffffffffffffff --event" in caught.value.hint
    assert message(late, shown(late) | {"expirytime": SOON}).time_to_live is None


@pytest.mark.parametrize(
    "attributes", [{}, {"expirytime": SOON}, {"type": "automation.result", "expirytime": GONE}, {"expirytime": "soon"}]
)
def test_what_has_no_deadline_of_its_own_waits_as_long_as_it_must(attributes):
    assert message(letter(**attributes)).time_to_live is None
