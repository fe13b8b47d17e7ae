"""The rules of subscriptions: filters and actions."""

from __future__ import annotations

import pytest

from bridge.adapters.embedded.amqp.brokererrors import BadFilter, NotAllowed, RuleExists, RuleNotFound
from bridge.adapters.embedded.amqp.filterrules import CorrelationFilter, FalseFilter, FilterRule, SqlFilter, TrueFilter
from tests.contracts.broker_kit import DEAD, Client, message, properties_of


async def test_filters_and_actions_decide_what_a_subscription_gets(broker):
    sent = [message("small", properties={"color": "red", "size": 2}), message("big", label="l", properties={"color": "red", "size": 8})]
    await broker.send("orders", sent)
    assert await Client.of(broker, "orders/Subscriptions/all").bodies(2) == ["small", "big"]
    assert await Client.of(broker, "orders/Subscriptions/red").bodies(1) == ["big"]
    marked = await Client.of(broker, "orders/Subscriptions/marked").next()
    assert properties_of(marked) == {"size": 4, "RuleName": "half"}


async def test_rules_are_listed_added_and_removed(broker):
    address = "plain/Subscriptions/one"
    assert [(rule.name, rule.filter) for rule in await broker.rules(address)] == [("$Default", TrueFilter())]
    await broker.remove_rule(address, "$default")
    await broker.send("plain", [message("nobody")])
    await broker.add_rule(address, FilterRule("by-number", CorrelationFilter(label="l", properties={"n": 3})))
    await broker.add_rule(address, FilterRule("sql", SqlFilter("sys.MessageId = 'id-sql'"), "SET seen = TRUE"))
    await broker.add_rule(address, FilterRule("nothing", FalseFilter()))
    sent = [message("no", label="l", properties={"n": 4}), message("number", label="l", properties={"n": 3.0}), message("sql")]
    await broker.send("plain", sent)
    client = Client.of(broker, address)
    assert await client.bodies(1) == ["number"]
    assert properties_of(await client.next()) == {"seen": True, "RuleName": "sql"}
    assert await client.stays_empty()
    assert [(rule.name, rule.action) for rule in await broker.rules(address)] == [
        ("by-number", None),
        ("nothing", None),
        ("sql", "SET seen = TRUE"),
    ]
    assert all(rule.created for rule in await broker.rules(address))


async def test_a_message_that_several_rules_select_comes_once_for_those_without_action_and_once_for_each_with_one(broker):
    address = "plain/Subscriptions/one"
    for number in range(2):
        await broker.add_rule(address, FilterRule(f"plain-{number}", SqlFilter("1 = 1")))
        await broker.add_rule(address, FilterRule(f"marking-{number}", SqlFilter("1 = 1"), f"SET n = {number}"))
    await broker.send("plain", [message("a")])
    client = Client.of(broker, address)
    came = [properties_of(await client.next()) for _ in range(3)]
    assert came == [{}, {"n": 0, "RuleName": "marking-0"}, {"n": 1, "RuleName": "marking-1"}]
    assert await client.stays_empty()


async def test_a_rule_that_cannot_be_is_refused(broker):
    address = "plain/Subscriptions/one"
    with pytest.raises(RuleExists):
        await broker.add_rule(address, FilterRule("$DEFAULT", TrueFilter()))
    with pytest.raises(RuleNotFound):
        await broker.remove_rule(address, "none")
    for rule in (FilterRule("a", SqlFilter("a =")), FilterRule("a", TrueFilter(), "SET a"), FilterRule("a", CorrelationFilter())):
        with pytest.raises(BadFilter):
            await broker.add_rule(address, rule)
    for other in ("jobs", "plain/Subscriptions/one" + DEAD):
        with pytest.raises(NotAllowed):
            await broker.add_rule(other, FilterRule("a", TrueFilter()))
