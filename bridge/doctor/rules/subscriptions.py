"""Subscriptions of Dapr: what they name, where their events go, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject, nearest, overlap
from bridge.doctor.values import component_type, metadata_text
from bridge.resilience import trip

_BRIDGE_TOPICS = ("automation-requests", "automation-invocations", "automation-results", "automation-timers")
_DELIVERIES = "/deliveries/"


def _subscriptions(project: DoctorProject) -> Iterator[ConfigDocument]:
    return project.of_kind("Subscription", dapr=True)


def _route(document: ConfigDocument) -> str:
    return str(document.get("spec", "routes", "default") or document.get("spec", "route") or "")


def feeds_bridge(document: ConfigDocument) -> bool:
    """Whether the events of a subscription are delivered to the bridge."""
    return _route(document).startswith(_DELIVERIES)


def subscribed_to(project: DoctorProject, component: ConfigDocument) -> list[ConfigDocument]:
    """The subscriptions that read from the component."""
    return [each for each in project.beside(component, "Subscription") if each.get("spec", "pubsubname") == component.name]


@rule("pubsub-unknown", FindingLevel.ERROR, "The sidecar never subscribes: no event of the topic arrives.")
def pubsub_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A subscription to a component that is not beside it, or is no pub/sub."""
    for document in _subscriptions(project):
        names = [each.name for each in project.beside(document, "Component") if component_type(each).startswith("pubsub.")]
        named = str(document.get("spec", "pubsubname", default=""))
        if names and named and named not in names:
            path: tuple[Key, ...] = ("spec", "pubsubname")
            found = hit(document, path, f"No pub/sub component is named {named}.", f"There is {', '.join(sorted(set(names)))}.")
            yield misspelt(found, document, path, names)


@rule("topic-not-allowed", FindingLevel.ERROR, "The sidecar refuses the subscription: no event of the topic arrives.")
def topic_not_allowed(project: DoctorProject) -> Iterator[Hit]:
    """A subscription to a topic that the component's subscriptionScopes or allowedTopics do not give the application."""
    for document in _subscriptions(project):
        topic = str(document.get("spec", "topic", default=""))
        for bus in project.beside(document, "Component"):
            is_its = bus.name == document.get("spec", "pubsubname") and overlap(bus.scopes, document.scopes)
            if is_its and not _allowed(bus, topic, document.scopes):
                mend = f"Add {topic} to subscriptionScopes or allowedTopics of {bus.name}, or correct the topic."
                yield hit(document, ("spec", "topic"), f"{bus.name} does not allow {topic}.", mend)


def _allowed(bus: ConfigDocument, topic: str, apps: list[str]) -> bool:
    listed = metadata_text(bus, "allowedTopics")
    if listed and topic not in listed.split(","):
        return False
    scopes = dict(part.split("=", 1) for part in (metadata_text(bus, "subscriptionScopes") or "").split(";") if "=" in part)
    return all(topic in [each.strip() for each in scopes[name].split(",")] for name in apps if name in scopes)


@rule(
    "subscription-incomplete", FindingLevel.ERROR, "The sidecar does not know what to bring, or where to, and leaves it out.", of_lack=True
)
def subscription_incomplete(project: DoctorProject) -> Iterator[Hit]:
    """A subscription without component, topic or route."""
    for document in _subscriptions(project):
        if not document.get("spec", "topic"):
            yield hit(document, ("spec",), "It has no topic.", "Add spec.topic.")
        if not document.get("spec", "pubsubname"):
            yield hit(document, ("spec",), "It names no pub/sub component.", "Add spec.pubsubname.")
        if not _route(document) and not document.get("spec", "routes", "rules"):
            field = "routes.default" if document.api.endswith("v2alpha1") else "route"
            yield hit(document, ("spec",), "It has no route.", f"Add spec.{field} with the path that takes the events.")


@rule("routing-rule-invalid", FindingLevel.ERROR, "The sidecar leaves the subscription out, or has no path for the event.")
def routing_rule_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A rule of a subscription whose match is no expression in CEL about the event, or that has no path."""
    for document in _subscriptions(project):
        for index, each in document.items("spec", "routes", "rules"):
            path: tuple[Key, ...] = ("spec", "routes", "rules", index)
            if not isinstance(each, dict):
                continue
            match = str(each.get("match") or "").strip()
            if match and not trip.is_expression(match):
                yield hit(document, (*path, "match"), f"{match!r} is no expression in CEL.", 'Write it like event.type == "order.made".')
            elif match and (names := [each for each in trip.variables(match) if each != "event"]):
                mend = f"Write event.{names[0]}: a rule knows the event and nothing else."
                yield hit(document, (*path, "match"), f"{names[0]} is not known in {match!r}.", mend)
            if not each.get("path"):
                yield hit(document, path, "The rule has no path.", "Add the path that takes these events.")


@rule(
    "default-route-missing",
    FindingLevel.ADVICE,
    "An event that no rule matches is acknowledged and gone, with one line in the sidecar's log.",
    of_lack=True,
)
def default_route_missing(project: DoctorProject) -> Iterator[Hit]:
    """A subscription with rules and no default route."""
    for document in _subscriptions(project):
        if document.get("spec", "routes", "rules") and not document.get("spec", "routes", "default"):
            yield hit(
                document, ("spec", "routes"), "It has rules and no default.", "Add default with the path that takes all other events."
            )


@rule("subscription-twice", FindingLevel.ERROR, "Both read the topic with one consumer: which of the routes gets an event is chance.")
def subscription_twice(project: DoctorProject) -> Iterator[Hit]:
    """Two subscriptions of one sidecar to the same topic."""
    seen: list[ConfigDocument] = []
    for document in _subscriptions(project):
        source = (document.get("spec", "pubsubname"), document.get("spec", "topic"))
        beside = project.beside(document, "Subscription")
        same = [
            each
            for each in seen
            if each in beside
            and (each.get("spec", "pubsubname"), each.get("spec", "topic")) == source
            and overlap(each.scopes, document.scopes)
        ]
        if same and all(source) and same[0].name != document.name:
            yield hit(
                document,
                ("spec", "topic"),
                f"{same[0].name} subscribes to {source[1]} too.",
                "Keep one, with rules if there are two routes.",
            )
        seen.append(document)


@rule("dead-letters-in-a-circle", FindingLevel.ERROR, "What cannot be delivered is published to where it came from, without end.")
def dead_letters_in_a_circle(project: DoctorProject) -> Iterator[Hit]:
    """A deadLetterTopic that is the topic itself."""
    for document in _subscriptions(project):
        topic = document.get("spec", "topic")
        if topic and document.get("spec", "deadLetterTopic") == topic:
            yield hit(document, ("spec", "deadLetterTopic"), f"The dead letters of {topic} go to {topic}.", "Name another topic.")


@rule(
    "dead-letter-topic-on-service-bus",
    FindingLevel.WARNING,
    "The sidecar settles the event when its retries end: MaxDeliveryCount never counts, and the reason is lost.",
)
def dead_letter_topic_on_service_bus(project: DoctorProject) -> Iterator[Hit]:
    """A deadLetterTopic of a subscription on Service Bus, which has dead letters of its own."""
    for document in _subscriptions(project):
        bus = next((each for each in project.beside(document, "Component") if each.name == document.get("spec", "pubsubname")), None)
        if document.get("spec", "deadLetterTopic") and bus is not None and "servicebus" in component_type(bus):
            mend = "Remove it, and let the subscription forward its dead letters (ForwardDeadLetteredMessagesTo)."
            yield hit(document, ("spec", "deadLetterTopic"), "It has a deadLetterTopic on Service Bus.", mend)


@rule("bridge-topic-missing", FindingLevel.ERROR, "Events of the topic never reach the bridge: requests wait, or runs never end.")
def bridge_topic_missing(project: DoctorProject) -> Iterator[Hit]:
    """A set that brings topics to the bridge and lacks one of them."""
    ours = [each for each in _subscriptions(project) if feeds_bridge(each)]
    for document in ours:
        beside = [each for each in ours if each in project.beside(document, "Subscription")]
        if beside[0] is not document:
            continue
        topics = {str(each.get("spec", "topic")) for each in beside}
        for topic in _BRIDGE_TOPICS:
            if topic not in topics:
                mend = f"Add one with the route {_DELIVERIES}{topic}/bridge."
                yield hit(document, ("metadata", "name"), f"No subscription brings {topic} to the bridge.", mend)


@rule("bridge-route-wrong", FindingLevel.ERROR, "The bridge takes an event for one of another topic, or has no such path.")
def bridge_route_wrong(project: DoctorProject) -> Iterator[Hit]:
    """A route to the bridge that does not begin with the name of its topic."""
    for document in _subscriptions(project):
        topic, route = str(document.get("spec", "topic", default="")), _route(document)
        if route.startswith(_DELIVERIES) and topic and route.removeprefix(_DELIVERIES).split("/")[0] != topic:
            path = ("spec", "routes", "default") if document.get("spec", "routes") else ("spec", "route")
            yield hit(document, path, f"{topic} goes to {route}.", f"Write {_DELIVERIES}{topic}/bridge.")


@rule(
    "subscription-not-in-list",
    FindingLevel.ERROR,
    "Service Bus has no such subscription, and the sidecar may not make one: it ends, or never reads.",
)
def subscription_not_in_list(project: DoctorProject) -> Iterator[Hit]:
    """A subscription of the bridge to a topic that the list of entities does not have."""
    for document in _subscriptions(project):
        near = nearest(project.entities, document.file)
        topic = str(document.get("spec", "topic", default=""))
        if near is None or not feeds_bridge(document) or topic in near[1].names:
            continue
        path = ("spec", "topic")
        found = hit(document, path, f"{near[0].name} has no topic {topic}.", f"Add it to {near[0]}.")
        yield misspelt(found, document, path, near[1].names)


@rule(
    "raw-events",
    FindingLevel.ERROR,
    "Dapr wraps what is no CloudEvent to its taste and drops what it cannot read, before the bridge can keep it.",
    of_lack=True,
)
def raw_events(project: DoctorProject) -> Iterator[Hit]:
    """A subscription of the bridge without rawPayload."""
    for document in _subscriptions(project):
        if feeds_bridge(document) and str(document.get("spec", "metadata", "rawPayload", default="")).lower() != "true":
            yield hit(document, ("spec",), "It has no rawPayload.", 'Add metadata: {rawPayload: "true"} below spec.')
