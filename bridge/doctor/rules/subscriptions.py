"""Rules about Dapr subscriptions: the components and topics that they name, their routes, and their dead letters."""

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
    """Whether the subscription delivers its events to the bridge."""
    return _route(document).startswith(_DELIVERIES)


def subscribed_to(project: DoctorProject, component: ConfigDocument) -> list[ConfigDocument]:
    """The subscriptions that read from the component."""
    return [each for each in project.beside(component, "Subscription") if each.get("spec", "pubsubname") == component.name]


@rule("pubsub-unknown", FindingLevel.ERROR, "The sidecar never subscribes, so no event of the topic arrives.")
def pubsub_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A subscription to a component that is not beside it, or is not a pub/sub component."""
    for document in _subscriptions(project):
        names = [each.name for each in project.beside(document, "Component") if component_type(each).startswith("pubsub.")]
        named = str(document.get("spec", "pubsubname", default=""))
        if names and named and named not in names:
            path: tuple[Key, ...] = ("spec", "pubsubname")
            found = hit(document, path, f"No pub/sub component is named {named}.", f"There is {', '.join(sorted(set(names)))}.")
            yield misspelt(found, document, path, names)


@rule("topic-not-allowed", FindingLevel.ERROR, "The sidecar refuses the subscription, so no event of the topic arrives.")
def topic_not_allowed(project: DoctorProject) -> Iterator[Hit]:
    """A subscription to a topic that subscriptionScopes or allowedTopics of the component do not allow for the application."""
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
    "subscription-incomplete",
    FindingLevel.ERROR,
    "The sidecar cannot tell what to deliver or where, and ignores the subscription.",
    of_lack=True,
)
def subscription_incomplete(project: DoctorProject) -> Iterator[Hit]:
    """A subscription without a component, a topic or a route."""
    for document in _subscriptions(project):
        if not document.get("spec", "topic"):
            yield hit(document, ("spec",), "The subscription has no topic.", "Add spec.topic.")
        if not document.get("spec", "pubsubname"):
            yield hit(document, ("spec",), "The subscription names no pub/sub component.", "Add spec.pubsubname.")
        if not _route(document) and not document.get("spec", "routes", "rules"):
            field = "routes.default" if document.api.endswith("v2alpha1") else "route"
            yield hit(document, ("spec",), "The subscription has no route.", f"Add spec.{field} with the path that receives the events.")


@rule("routing-rule-invalid", FindingLevel.ERROR, "The sidecar ignores the subscription, or has no path for the event.")
def routing_rule_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A routing rule of a subscription that has no path, or whose match is not a CEL expression about the event."""
    for document in _subscriptions(project):
        for index, each in document.items("spec", "routes", "rules"):
            path: tuple[Key, ...] = ("spec", "routes", "rules", index)
            if not isinstance(each, dict):
                continue
            match = str(each.get("match") or "").strip()
            if match and not trip.is_expression(match):
                yield hit(document, (*path, "match"), f"{match!r} is not a CEL expression.", 'Write it like event.type == "order.made".')
            elif match and (names := [each for each in trip.variables(match) if each != "event"]):
                mend = f"Write event.{names[0]}: a rule sees nothing but the event."
                yield hit(document, (*path, "match"), f"{names[0]} is unknown in {match!r}.", mend)
            if not each.get("path"):
                yield hit(document, path, "The rule has no path.", "Add the path that receives these events.")


@rule(
    "default-route-missing",
    FindingLevel.ADVICE,
    "An event that no rule matches is acknowledged and lost, with one line in the sidecar's log.",
    of_lack=True,
)
def default_route_missing(project: DoctorProject) -> Iterator[Hit]:
    """A subscription with routing rules and no default route."""
    for document in _subscriptions(project):
        if document.get("spec", "routes", "rules") and not document.get("spec", "routes", "default"):
            yield hit(
                document,
                ("spec", "routes"),
                "The subscription has rules and no default.",
                "Add default with the path that receives all other events.",
            )


@rule(
    "subscription-twice",
    FindingLevel.ERROR,
    "Both read the topic as one consumer, so it is a matter of chance which of the routes receives an event.",
)
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
                f"{same[0].name} also subscribes to {source[1]}.",
                "Keep one of them, with routing rules if there are two routes.",
            )
        seen.append(document)


@rule("dead-letters-in-a-circle", FindingLevel.ERROR, "An event that cannot be delivered is published to its own topic again, without end.")
def dead_letters_in_a_circle(project: DoctorProject) -> Iterator[Hit]:
    """A deadLetterTopic that is the subscription's own topic."""
    for document in _subscriptions(project):
        topic = document.get("spec", "topic")
        if topic and document.get("spec", "deadLetterTopic") == topic:
            yield hit(document, ("spec", "deadLetterTopic"), f"The dead letters of {topic} go to {topic}.", "Name another topic.")


@rule(
    "dead-letter-topic-on-service-bus",
    FindingLevel.WARNING,
    "The sidecar settles the event after its last retry, so MaxDeliveryCount is never reached and the reason is lost.",
)
def dead_letter_topic_on_service_bus(project: DoctorProject) -> Iterator[Hit]:
    """A deadLetterTopic of a subscription on Service Bus, which has dead-letter queues of its own."""
    for document in _subscriptions(project):
        bus = next((each for each in project.beside(document, "Component") if each.name == document.get("spec", "pubsubname")), None)
        if document.get("spec", "deadLetterTopic") and bus is not None and "servicebus" in component_type(bus):
            mend = "Remove it, and let the subscription forward its dead letters (ForwardDeadLetteredMessagesTo)."
            yield hit(document, ("spec", "deadLetterTopic"), "The subscription is on Service Bus and has a deadLetterTopic.", mend)


@rule("bridge-topic-missing", FindingLevel.ERROR, "Events of the missing topic never reach the bridge: requests wait, or runs never end.")
def bridge_topic_missing(project: DoctorProject) -> Iterator[Hit]:
    """A set of files that subscribes the bridge to some of its topics but not to all of them."""
    ours = [each for each in _subscriptions(project) if feeds_bridge(each)]
    for document in ours:
        beside = [each for each in ours if each in project.beside(document, "Subscription")]
        if beside[0] is not document:
            continue
        topics = {str(each.get("spec", "topic")) for each in beside}
        for topic in _BRIDGE_TOPICS:
            if topic not in topics:
                mend = f"Add a subscription with the route {_DELIVERIES}{topic}/bridge."
                yield hit(document, ("metadata", "name"), f"No subscription delivers {topic} to the bridge.", mend)


@rule("bridge-route-wrong", FindingLevel.ERROR, "The bridge takes the event for one of another topic, or has no such path.")
def bridge_route_wrong(project: DoctorProject) -> Iterator[Hit]:
    """A route to the bridge whose path does not name the topic of the subscription."""
    for document in _subscriptions(project):
        topic, route = str(document.get("spec", "topic", default="")), _route(document)
        if route.startswith(_DELIVERIES) and topic and route.removeprefix(_DELIVERIES).split("/")[0] != topic:
            path = ("spec", "routes", "default") if document.get("spec", "routes") else ("spec", "route")
            yield hit(document, path, f"Events of {topic} go to {route}.", f"Write {_DELIVERIES}{topic}/bridge.")


@rule(
    "subscription-not-in-list",
    FindingLevel.ERROR,
    "Service Bus has no such subscription, and the sidecar may not create one. The sidecar exits, or never receives an event.",
)
def subscription_not_in_list(project: DoctorProject) -> Iterator[Hit]:
    """A subscription of the bridge to a topic that is missing from the list of entities."""
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
    "Dapr wraps anything that is not a CloudEvent into one of its own, and drops what it cannot read before the bridge can keep it.",
    of_lack=True,
)
def raw_events(project: DoctorProject) -> Iterator[Hit]:
    """A subscription of the bridge without rawPayload."""
    for document in _subscriptions(project):
        if feeds_bridge(document) and str(document.get("spec", "metadata", "rawPayload", default="")).lower() != "true":
            yield hit(document, ("spec",), "The subscription has no rawPayload.", 'Add metadata: {rawPayload: "true"} under spec.')
