"""What policies, components and entities add up to when work is delivered: attempts, time, locks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from bridge import resilience
from bridge.doctor import entityplaces
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject, nearest
from bridge.doctor.rules.resiliency import sidecar_policies
from bridge.doctor.rules.subscriptions import feeds_bridge
from bridge.doctor.values import component_type, go_duration, is_true, metadata_place, metadata_text, number
from bridge.durations import show
from bridge.entities import UNLIMITED, SubscriptionProperties
from bridge.files import packaged

_MANY = 20  #: deliveries of one event that nobody means to have
_DELIVERIES = 10  #: what a subscription has that says nothing
_LOCK = timedelta(minutes=1)
_RENEWAL, _HANDLER = timedelta(seconds=20), timedelta(seconds=60)  #: defaults of the component
_PACKAGED = packaged.FOLDER / "resiliency.yaml"  #: the policies of a bridge that was given none
_BUS = ("pubsub.azure.servicebus.topics", "pubsub.azure.servicebus", "pubsub.azure.servicebus.queues")


def _inbound(project: DoctorProject) -> Iterator[tuple[ConfigDocument, str, ConfigDocument | None]]:
    """Each component for which a policy says what happens with its events: the policy, the component's name, and the component."""
    for document in sidecar_policies(project):
        for name in map(str, document.mapping("spec", "targets", "components")):
            if document.mapping("spec", "targets", "components", name, "inbound"):
                found: list[ConfigDocument | None] = [each for each in project.beside(document, "Component") if each.name == name]
                yield from ((document, name, each) for each in found or [None])


def _on_service_bus(project: DoctorProject) -> Iterator[ConfigDocument]:
    """The components that bring events from Service Bus."""
    return (each for each in project.of_kind("Component", dapr=True) if component_type(each) in _BUS)


def _subscribed(project: DoctorProject, component: ConfigDocument) -> list[ConfigDocument]:
    """The subscriptions that read from the component."""
    return [each for each in project.beside(component, "Subscription") if each.get("spec", "pubsubname") == component.name]


def _policy(document: ConfigDocument, component: str) -> tuple[tuple[Key, ...], dict[str, object]]:
    """The retry of a component's events: where it is defined, and its fields."""
    named = str(document.get("spec", "targets", "components", component, "inbound", "retry", default=""))
    path: tuple[Key, ...] = ("spec", "policies", "retries", named)
    return path, dict(document.mapping(*path))


@rule(
    "breaker-on-inbound",
    FindingLevel.ERROR,
    "It opens for the whole component: no topic is published to, dead letters neither, and deliveries are used up.",
)
def breaker_on_inbound(project: DoctorProject) -> Iterator[Hit]:
    """A circuit breaker on what comes in."""
    for document, name, _ in _inbound(project):
        path: tuple[Key, ...] = ("spec", "targets", "components", name, "inbound", "circuitBreaker")
        if document.get(*path):
            yield hit(document, path, f"{name} has a circuit breaker on inbound.", "Remove it; breakers belong to the calls of functions.")


@rule("timeout-on-inbound", FindingLevel.ERROR, "A timeout does not end the work but starts it once more beside the first.")
def timeout_on_inbound(project: DoctorProject) -> Iterator[Hit]:
    """A timeout with a retry on what comes in."""
    for document, name, _ in _inbound(project):
        path: tuple[Key, ...] = ("spec", "targets", "components", name, "inbound", "timeout")
        if document.get(*path) and document.get(*path[:-1], "retry"):
            yield hit(document, path, f"{name} has a timeout and a retry on inbound.", "Remove the timeout.")


@rule(
    "exponential-ends",
    FindingLevel.ERROR,
    "Dapr ends an exponential retry after 15 minutes whatever maxRetries says; this bus has no copy then, and the event is lost.",
)
def exponential_ends(project: DoctorProject) -> Iterator[Hit]:
    """An exponential retry without end for a bus that counts the event as done when the policy gives up."""
    for document, name, component in _inbound(project):
        path, policy = _policy(document, name)
        is_endless = (number(policy.get("maxRetries", -1)) or 0) < 0
        if str(policy.get("policy")).lower() == "exponential" and is_endless and component and component_type(component) not in _BUS:
            yield hit(
                document, (*path, "policy"), f"The events of {name} are tried again by an exponential policy.", "Write policy: constant."
            )


@rule(
    "events-lost",
    FindingLevel.ERROR,
    "Redis Streams counts an event as done after the first failure: while the application is away its events are lost.",
)
def events_lost(project: DoctorProject) -> Iterator[Hit]:
    """A Redis bus with subscriptions and no endless retry on what comes in."""
    kept = [found for _, _, found in _inbound(project)]
    for component in project.of_kind("Component", dapr=True):
        if component_type(component) != "pubsub.redis":
            continue
        if _subscribed(project, component) and component not in kept:
            mend = "Add a Resiliency with targets.components.NAME.inbound.retry, constant, maxRetries: -1."
            yield hit(component, ("metadata", "name"), f"Nothing tries the events of {component.name} again.", mend)


@rule("retries-end", FindingLevel.ERROR, "The event is lost after the last retry: this bus gives no copy back.")
def retries_end(project: DoctorProject) -> Iterator[Hit]:
    """A bounded retry for a Redis bus without a dead-letter topic."""
    for document, name, component in _inbound(project):
        path, policy = _policy(document, name)
        count = number(policy.get("maxRetries", -1))
        if component is None or component_type(component) != "pubsub.redis" or count is None or count < 0:
            continue
        subscribed = _subscribed(project, component)
        if subscribed and not all(each.get("spec", "deadLetterTopic") for each in subscribed):
            yield hit(
                document,
                (*path, "maxRetries"),
                f"The events of {name} are tried {count + 1} times.",
                "Write -1, or give subscriptions a deadLetterTopic.",
            )


@rule(
    "retries-multiply",
    FindingLevel.WARNING,
    "The sidecar's retries happen for each delivery of the broker: the application is called that often for one event.",
)
def retries_multiply(project: DoctorProject) -> Iterator[Hit]:
    """Retries of the sidecar times MaxDeliveryCount."""
    for document, name, component in _inbound(project):
        path, policy = _policy(document, name)
        count = number(policy.get("maxRetries", -1))
        if component is None or component_type(component) not in _BUS or not count or count < 0:
            continue
        deliveries = _deliveries(project, component)
        total = (1 + count) * deliveries
        if deliveries < UNLIMITED and total > _MANY:
            message = f"One event of {name} is tried {1 + count} x {deliveries} = {total} times."
            yield hit(document, (*path, "maxRetries"), message, "Take 0 to 2 retries, or a smaller MaxDeliveryCount.")


def _deliveries(project: DoctorProject, component: ConfigDocument) -> int:
    """The MaxDeliveryCount of the subscriptions that the component reads, by the list of entities, else by its own metadata."""
    consumer = metadata_text(component, "consumerID") or ""
    found = [each.max_delivery_count for each in _read_by(project, component, consumer)]
    managed = not is_true(metadata_text(component, "disableEntityManagement"))
    return max(found, default=(number(metadata_text(component, "maxDeliveryCount")) or _DELIVERIES) if managed else _DELIVERIES)


def _read_by(project: DoctorProject, component: ConfigDocument, consumer: str) -> list[SubscriptionProperties]:
    near = nearest(project.entities, component.file)
    found = entityplaces.subscriptions(near[1]) if near else ()
    return [each.properties for _, _, each in found if each.name == consumer]


@rule("single-delivery", FindingLevel.WARNING, "Any restart while an event is in hand makes a dead letter of it.")
def single_delivery(project: DoctorProject) -> Iterator[Hit]:
    """MaxDeliveryCount 1, in a component that makes its subscriptions or in the list of entities."""
    for component in _on_service_bus(project):
        if number(metadata_text(component, "maxDeliveryCount")) == 1:
            yield hit(component, metadata_place(component, "maxDeliveryCount"), "maxDeliveryCount is 1.", "Take 3 or more.")
    for path, entities in project.entities.items():
        [document] = project.of_file(path)
        for place, name, properties in entityplaces.read_from(entities):
            if properties.max_delivery_count == 1:
                yield hit(document, (*place, "Properties", "MaxDeliveryCount"), f"MaxDeliveryCount of {name} is 1.", "Take 3 or more.")


@rule("lock-too-long", FindingLevel.ERROR, "Service Bus refuses the entity: a lock lasts five minutes at most.")
def lock_too_long(project: DoctorProject) -> Iterator[Hit]:
    """LockDuration above PT5M."""
    for path, entities in project.entities.items():
        [document] = project.of_file(path)
        for place, name, properties in entityplaces.read_from(entities):
            if properties.lock_duration > timedelta(minutes=5):
                yield hit(
                    document,
                    (*place, "Properties", "LockDuration"),
                    f"LockDuration of {name} is longer than PT5M.",
                    "Write PT5M or less; locks are renewed.",
                )


@rule("lock-not-renewed", FindingLevel.ERROR, "The lock ends before it is renewed: the event is delivered once more while it is worked on.")
def lock_not_renewed(project: DoctorProject) -> Iterator[Hit]:
    """lockRenewalInSec that is not shorter than the lock."""
    for component in _on_service_bus(project):
        seconds = number(metadata_text(component, "lockRenewalInSec"))
        renewal = _RENEWAL if seconds is None else timedelta(seconds=seconds)
        own = number(metadata_text(component, "lockDurationInSec"))
        locks = [each.lock_duration for each in _read_by(project, component, metadata_text(component, "consumerID") or "")]
        lock = min(locks, default=timedelta(seconds=own) if own else _LOCK)
        if renewal >= lock:
            message = f"Locks are renewed every {show(renewal)}, and last {show(lock)}."
            yield hit(
                component, metadata_place(component, "lockRenewalInSec"), message, "Renew after a third of the lock: 20 for a minute."
            )


@rule(
    "handler-ends-first",
    FindingLevel.ERROR,
    "The delivery ends while its function still runs, and the event is delivered once more: a second start.",
)
def handler_ends_first(project: DoctorProject) -> Iterator[Hit]:
    """handlerTimeoutInSec below the longest timeout of a function call."""
    for component in _on_service_bus(project):
        if not any(feeds_bridge(each) for each in _subscribed(project, component)):
            continue
        path, policies = nearest(project.policies, component.file) or (_PACKAGED, resilience.load(_PACKAGED))
        seconds = number(metadata_text(component, "handlerTimeoutInSec"))
        handler = _HANDLER if seconds is None else timedelta(seconds=seconds)
        longest = max(each.timeout for each in (policies.otherwise, *policies.by_app.values()))
        if timedelta(0) < handler <= longest:
            message = f"A delivery ends after {show(handler)}, and a call may take {show(longest)} ({path.parent.name}/{path.name})."
            yield hit(
                component, metadata_place(component, "handlerTimeoutInSec"), message, "Take a handlerTimeoutInSec above it, such as 300."
            )


@rule("messages-held", FindingLevel.WARNING, "One replica locks events that it cannot take while another is idle.")
def messages_held(project: DoctorProject) -> Iterator[Hit]:
    """maxActiveMessages above maxConcurrentHandlers."""
    for component in _on_service_bus(project):
        active = number(metadata_text(component, "maxActiveMessages")) or 1000
        handlers = number(metadata_text(component, "maxConcurrentHandlers"))
        if handlers and active > handlers:
            message = f"{active} events are locked, and {handlers} are handled at a time."
            yield hit(component, metadata_place(component, "maxActiveMessages"), message, "Give both the same number.")


@rule(
    "setting-without-effect",
    FindingLevel.WARNING,
    "The sidecar makes no subscriptions, so those of the broker have what they were made with.",
)
def setting_without_effect(project: DoctorProject) -> Iterator[Hit]:
    """Properties of a subscription in a component that does not manage entities."""
    names = ("maxDeliveryCount", "lockDurationInSec", "defaultMessageTimeToLiveInSec", "autoDeleteOnIdleInSec")
    for component in _on_service_bus(project):
        if is_true(metadata_text(component, "disableEntityManagement")):
            for name in names:
                if metadata_text(component, name) is not None:
                    place = metadata_place(component, name)
                    yield hit(
                        component, place, f"{name} has no effect with disableEntityManagement.", "Set it where the subscription is made."
                    )


@rule(
    "functions-tried-twice-over",
    FindingLevel.ERROR,
    "The bridge tries calls of functions again itself: the sidecar's retries multiply with its own.",
)
def functions_tried_twice_over(project: DoctorProject) -> Iterator[Hit]:
    """A policy of the sidecar for a function app that the catalogue or an endpoint names."""
    endpoints = {each.name for each in project.of_kind("HTTPEndpoint", dapr=True)}
    apps = {target.http.app for catalogue in project.catalogues.values() for each in catalogue for target in each.targets if target.http}
    for document in sidecar_policies(project):
        for name, target in document.mapping("spec", "targets", "apps").items():
            if name in endpoints | apps and isinstance(target, dict) and (target.get("retry") or target.get("circuitBreaker")):
                path = ("spec", "targets", "apps", name)
                yield hit(document, path, f"The sidecar has a policy for the calls of {name}.", "Move it to functions/resiliency.yaml.")


@rule(
    "processing-timeout-short",
    FindingLevel.WARNING,
    "Work that takes longer is handed out once more while it runs: the number is milliseconds.",
)
def interval_in_milliseconds(project: DoctorProject) -> Iterator[Hit]:
    """processingTimeout of less than a second."""
    for component in project.of_kind("Component", dapr=True):
        value = metadata_text(component, "processingTimeout")
        span = go_duration(value) if value and component_type(component) == "pubsub.redis" else None
        if span is not None and timedelta(0) < span < timedelta(seconds=1):
            yield hit(component, metadata_place(component, "processingTimeout"), f"processingTimeout is {value} ms.", "Write milliseconds.")
