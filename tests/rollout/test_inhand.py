"""Whose runs in hand meet a change."""

from __future__ import annotations

from bridge.client import ConfigurationView
from bridge.rollout import changes, concerned
from tests.rollout.kit import TOPIC, automation, policies, side

APP = {"url": "https://shop.example.com"}
OTHER = {"name": "here", "http": {"app": "other", "path": "/api/items"}}
ALL = (automation("calls"), automation("sends", targets=[TOPIC]), automation("calls-other", targets=[OTHER]))


def met(before: ConfigurationView, after: ConfigurationView) -> set[str]:
    return concerned(changes(before, after), before, after)


def test_an_automation_that_is_gone_and_one_whose_target_moves() -> None:
    moved = automation("moved", targets=[{"name": "here", "http": {"app": "shop", "path": "/api/elsewhere"}}])
    assert met(side(automation("gone"), automation("moved")), side(moved)) == {"gone", "moved"}


def test_none_where_runs_keep_what_they_have() -> None:
    assert met(side(automation(deadline="5m")), side(automation(deadline="4m"))) == set()


def test_those_that_call_an_app_without_an_address() -> None:
    assert met(side(*ALL, function_apps={"shop": APP}), side(*ALL)) == {"calls"}


def test_those_that_call_an_app_whose_policy_is_stricter() -> None:
    own = policies()
    own["spec"]["policies"]["timeouts"]["short"] = "2s"
    own["spec"]["targets"] = {"apps": {"shop": {"timeout": "short", "retry": "DefaultAppRetryPolicy"}}}
    assert met(side(*ALL), side(*ALL, rules=own)) == {"calls"}


def test_those_that_call_any_app_without_a_policy_of_its_own() -> None:
    usual, own = policies(timeout="5s"), policies(timeout="10s")
    for each in (usual, own):
        each["spec"]["policies"]["timeouts"]["long"] = "20s"
        each["spec"]["targets"] = {"apps": {"other": {"timeout": "long"}}}
    assert met(side(*ALL, rules=own), side(*ALL, rules=usual)) == {"calls"}
