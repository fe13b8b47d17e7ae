from __future__ import annotations

from typing import Any

import pytest

from tests.rollout.kit import between, side

APP = {"url": "https://shop.example.com"}
REPLIES = ["automation-replies", "mine"]
CASES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"reply_topics": REPLIES}, {}, "reply-topic-removed"),
    ({"reply_topics": REPLIES}, {"reply_topics": REPLIES, "default_reply_topic": "mine"}, "reply-topic-moved"),
    ({}, {"reply_topics": REPLIES}, "topic-added"),
    ({"topics": {"automation-requests": {"submitter": "automation-requests"}, "more": {"submitter": "b"}}}, {}, "request-topic-removed"),
    ({}, {"topics": {"automation-requests": {"submitter": "other"}}}, "topic-identity-changed"),
    (
        {"topics": {"automation-requests": {"submitter": "a", "roles": ["b"]}}},
        {"topics": {"automation-requests": {"submitter": "a"}}},
        "topic-roles-fewer",
    ),
    (
        {"topics": {"automation-requests": {"submitter": "a", "roles": []}}},
        {"topics": {"automation-requests": {"submitter": "a", "roles": ["operators"]}}},
        "topic-roles-more",
    ),
    ({"function_apps": {"shop": APP}}, {}, "function-app-removed"),
    ({}, {"function_apps": {"shop": APP}}, "function-app-added"),
    ({}, {"max_input_bytes": 1000}, "limit-lower"),
    ({}, {"max_event_bytes": 256_000}, "limit-lower"),
    ({"max_event_bytes": 256_000}, {"max_event_bytes": 1_000_000}, "limit-higher"),
    ({}, {"retention": "1d"}, "limit-lower"),
    ({}, {"retention": "30d"}, "limit-higher"),
]


@pytest.mark.parametrize(("before", "after", "kind"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_change_is_of_its_kind(before: dict[str, Any], after: dict[str, Any], kind: str) -> None:
    assert list(between(side(**before), side(**after))) == [kind]


def test_an_app_that_no_automation_calls_may_go() -> None:
    assert between(side(function_apps={"unused": APP}), side()) == {}
