"""What keeps deliveries away, from what the sidecar tells of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.adapters.dapr.sidecar import ActiveSubscription, SidecarMetadata
from bridge.adapters.dapr.subscription_check import ExpectedSubscription, SubscriptionCheck, discrepancies
from bridge.errors import Unavailable

TIMERS = ExpectedSubscription("bus", "timers", "/deliveries/timers/bridge")
QUEUE = ExpectedSubscription("queues", "dead", "/deliveries/dead")
WELL = SidecarMetadata(
    8081,
    "grpc",
    (
        ActiveSubscription("bus", "timers", frozenset({"/deliveries/timers/bridge"})),
        ActiveSubscription("queues", "dead", frozenset({"/deliveries/dead"})),
        ActiveSubscription("bus", "of-somebody-else", frozenset({"/elsewhere"})),
    ),
)


def found(told: SidecarMetadata) -> list[str]:
    return list(discrepancies(told, [TIMERS, QUEUE], 8081))


def test_nothing_is_wrong_where_all_are_brought():
    assert found(WELL) == []


def test_another_way_of_bringing_is_told():
    (told,) = found(replace(WELL, protocol="http"))
    assert told.startswith(
        "The sidecar delivers events over http, but the bridge accepts only grpc, because over HTTP Dapr 1.18 loses events: "
    )
    assert "--app-protocol grpc" in told


def test_each_source_without_a_subscription_is_named():
    (first, second) = found(replace(WELL, subscriptions=()))
    assert "no subscription to timers of component bus: add one with the route /deliveries/timers/bridge" in first
    assert "dead of component queues" in second


def test_a_subscription_of_another_component_does_not_count():
    (told,) = found(
        replace(WELL, subscriptions=(*WELL.subscriptions[:1], ActiveSubscription("bus", "dead", frozenset({"/deliveries/dead"}))))
    )
    assert "dead of component queues" in told


def test_a_route_that_leads_elsewhere_is_told():
    (told,) = found(replace(WELL, subscriptions=(ActiveSubscription("bus", "timers", frozenset({"/timers"})), *WELL.subscriptions[1:])))
    assert told == "The sidecar delivers timers of component bus to /timers: correct the route to /deliveries/timers/bridge."


def test_a_subscription_whose_events_are_rewritten_is_told():
    rewritten = replace(WELL.subscriptions[0], raw=False)
    (told,) = found(replace(WELL, subscriptions=(rewritten, *WELL.subscriptions[1:])))
    assert told == 'The sidecar rewrites timers of component bus: give its subscription the metadata rawPayload: "true".'


@pytest.mark.parametrize(("port", "said"), [(0, "to no application"), (8080, "to port 8080")])
def test_another_port_than_that_for_deliveries_is_told(port, said):
    (told,) = found(replace(WELL, app_port=port))
    assert said in told
    assert "--app-port 8081" in told


class FakeSidecar:
    """Tells one thing after the other."""

    def __init__(self, *told: SidecarMetadata | Exception) -> None:
        self.answers = list(told)

    async def metadata(self) -> SidecarMetadata:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_the_bridge_begins_when_all_are_there(monkeypatch, caplog):
    monkeypatch.setattr("bridge.adapters.dapr.subscription_check._POLL", 0.01)
    monkeypatch.setattr("bridge.adapters.dapr.subscription_check._GRACE", 0.03)
    sidecar, waited = FakeSidecar(Unavailable("away"), *[replace(WELL, app_port=0)] * 5, WELL), []
    await SubscriptionCheck(sidecar, lambda: [TIMERS], 8081).complete(waited.append)
    assert not sidecar.answers
    assert len(waited) == 3
    assert [record.message for record in caplog.records] == [f"waiting for the sidecar's subscriptions: {waited[0]}"]


async def test_what_comes_a_moment_later_is_not_told(monkeypatch):
    monkeypatch.setattr("bridge.adapters.dapr.subscription_check._POLL", 0.01)
    waited: list[str] = []
    await SubscriptionCheck(FakeSidecar(replace(WELL, subscriptions=()), WELL), lambda: [TIMERS], 8081).complete(waited.append)
    assert waited == []
