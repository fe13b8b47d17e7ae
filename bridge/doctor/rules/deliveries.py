"""Rules about what policies, components and entities together mean for a delivery: attempts, times and locks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.rules.resiliency import sidecar_policies
from bridge.doctor.rules.servicebus import BUS, read_by
from bridge.doctor.rules.subscriptions import subscribed_to
from bridge.doctor.values import component_type, go_duration, is_true, metadata_place, metadata_text, number
from bridge.entities import UNLIMITED

_MANY = 20  #: deliveries of one event that nobody means to have
_DELIVERIES = 10  #: what a subscription has that says nothing


def _inbound(project: DoctorProject) -> Iterator[tuple[ConfigDocument, str, ConfigDocument | None]]:
    """Each component with an inbound policy: the document of the policy, the name of the component, and the component if it is known."""
    for document in sidecar_policies(project):
        for name in map(str, document.mapping("spec", "targets", "components")):
            if document.mapping("spec", "targets", "components", name, "inbound"):
                found: list[ConfigDocument | None] = [each for each in project.beside(document, "Component") if each.name == name]
                yield from ((document, name, each) for each in found or [None])


def _policy(document: ConfigDocument, component: str) -> tuple[tuple[Key, ...], dict[str, object]]:
    """The inbound retry of a component: its path in the document, and its fields."""
    named = str(document.get("spec", "targets", "components", component, "inbound", "retry", default=""))
    path: tuple[Key, ...] = ("spec", "policies", "retries", named)
    return path, dict(document.mapping(*path))


@rule(
    "breaker-on-inbound",
    FindingLevel.ERROR,
    "It opens for the whole component: nothing is published to any topic, not even dead letters, and the delivery attempts are used up.",
)
def breaker_on_inbound(project: DoctorProject) -> Iterator[Hit]:
    """A circuit breaker on the inbound direction of a component."""
    for document, name, _ in _inbound(project):
        path: tuple[Key, ...] = ("spec", "targets", "components", name, "inbound", "circuitBreaker")
        if document.get(*path):
            yield hit(document, path, f"{name} has an inbound circuit breaker.", "Remove it. Use circuit breakers for function calls.")


@rule("inbound-without-effect", FindingLevel.WARNING, "The component has no inbound direction, so the policy is never applied.")
def inbound_without_effect(project: DoctorProject) -> Iterator[Hit]:
    """An inbound policy for a component that delivers no events, such as a state store."""
    for document, name, component in _inbound(project):
        kind = component_type(component) if component else ""
        if kind and not kind.startswith(("pubsub.", "bindings.")):
            path: tuple[Key, ...] = ("spec", "targets", "components", name, "inbound")
            yield hit(document, path, f"{name} is a {kind}, which delivers no events.", "Write outbound instead of inbound.")


@rule(
    "timeout-on-inbound", FindingLevel.ERROR, "A timeout does not stop the work. The retry starts the work a second time beside the first."
)
def timeout_on_inbound(project: DoctorProject) -> Iterator[Hit]:
    """A timeout together with a retry on the inbound direction of a component."""
    for document, name, _ in _inbound(project):
        path: tuple[Key, ...] = ("spec", "targets", "components", name, "inbound", "timeout")
        if document.get(*path) and document.get(*path[:-1], "retry"):
            yield hit(document, path, f"{name} has an inbound timeout and an inbound retry.", "Remove the timeout.")


@rule(
    "exponential-ends",
    FindingLevel.ERROR,
    "Dapr ends an exponential retry after 15 minutes, whatever maxRetries says. Redis does not deliver the event again, so it is lost.",
)
def exponential_ends(project: DoctorProject) -> Iterator[Hit]:
    """An endless exponential retry on Redis pub/sub, which drops an event when the policy gives up."""
    for document, name, component in _inbound(project):
        path, policy = _policy(document, name)
        is_endless = (number(policy.get("maxRetries", -1)) or 0) < 0
        if str(policy.get("policy")).lower() == "exponential" and is_endless and component and component_type(component) == "pubsub.redis":
            yield hit(document, (*path, "policy"), f"The events of {name} are retried by an exponential policy.", "Write policy: constant.")


@rule(
    "events-lost",
    FindingLevel.ERROR,
    "Redis Streams treats an event as handled after the first failure, so events are lost while the application is down.",
)
def events_lost(project: DoctorProject) -> Iterator[Hit]:
    """A Redis pub/sub component with subscriptions but without an endless inbound retry."""
    kept = [found for _, _, found in _inbound(project)]
    for component in project.of_kind("Component", dapr=True):
        if component_type(component) != "pubsub.redis" or component in kept or _by_default(project, component):
            continue
        subscribed = subscribed_to(project, component)
        if subscribed and not all(each.get("spec", "deadLetterTopic") for each in subscribed):
            mend = "Add a Resiliency resource that names a constant retry with maxRetries: -1 under targets.components.NAME.inbound."
            yield hit(component, ("metadata", "name"), f"No policy retries the events of {component.name}.", mend)


def _by_default(project: DoctorProject, component: ConfigDocument) -> bool:
    """Whether one of Dapr's default retry policies applies to the component, which no target names."""
    names = [f"Default{scope}RetryPolicy" for scope in ("", "Component", "ComponentInbound", "PubsubComponent", "PubsubComponentInbound")]
    beside = project.beside(component, "Resiliency")
    return any(name in each.mapping("spec", "policies", "retries") for each in beside for name in names)


@rule("retries-end", FindingLevel.ERROR, "The event is lost after the last retry, because Redis does not deliver it again.")
def retries_end(project: DoctorProject) -> Iterator[Hit]:
    """A limited number of retries on Redis pub/sub without a dead-letter topic."""
    for document, name, component in _inbound(project):
        path, policy = _policy(document, name)
        count = number(policy.get("maxRetries", -1))
        if component is None or component_type(component) != "pubsub.redis" or count is None or count < 0:
            continue
        subscribed = subscribed_to(project, component)
        if subscribed and not all(each.get("spec", "deadLetterTopic") for each in subscribed):
            yield hit(
                document,
                (*path, "maxRetries"),
                f"The events of {name} are tried only {count + 1} times.",
                "Write -1, or give the subscriptions a deadLetterTopic.",
            )


@rule(
    "retries-multiply",
    FindingLevel.WARNING,
    "The sidecar repeats its retries for each delivery of the broker, so the application is called that many times for one event.",
)
def retries_multiply(project: DoctorProject) -> Iterator[Hit]:
    """Retries of the sidecar that, multiplied by MaxDeliveryCount, are more than 20 attempts."""
    for document, name, component in _inbound(project):
        path, policy = _policy(document, name)
        count = number(policy.get("maxRetries", -1))
        if component is None or component_type(component) not in BUS or not count or count < 0:
            continue
        deliveries = _deliveries(project, component)
        total = (1 + count) * deliveries
        if deliveries < UNLIMITED and total > _MANY:
            message = f"One event of {name} is tried {1 + count} x {deliveries} = {total} times."
            yield hit(document, (*path, "maxRetries"), message, "Use 0 to 2 retries, or a smaller MaxDeliveryCount.")


def _deliveries(project: DoctorProject, component: ConfigDocument) -> int:
    """The MaxDeliveryCount of the subscriptions that the component reads, from the list of entities or else from its own metadata."""
    consumer = metadata_text(component, "consumerID") or ""
    found = [each.max_delivery_count for each in read_by(project, component, consumer)]
    managed = not is_true(metadata_text(component, "disableEntityManagement"))
    return max(found, default=(number(metadata_text(component, "maxDeliveryCount")) or _DELIVERIES) if managed else _DELIVERIES)


@rule(
    "functions-tried-twice-over",
    FindingLevel.ERROR,
    "The bridge retries function calls itself, so the sidecar's retries multiply with its own.",
)
def functions_tried_twice_over(project: DoctorProject) -> Iterator[Hit]:
    """A retry or circuit breaker of the sidecar for a function app that the catalogue or an HTTPEndpoint names."""
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
    "The number is in milliseconds. Work that takes longer is delivered again while it is still running.",
)
def interval_in_milliseconds(project: DoctorProject) -> Iterator[Hit]:
    """A processingTimeout of less than one second."""
    for component in project.of_kind("Component", dapr=True):
        value = metadata_text(component, "processingTimeout")
        span = go_duration(value) if value and component_type(component) == "pubsub.redis" else None
        if span is not None and timedelta(0) < span < timedelta(seconds=1):
            yield hit(
                component,
                metadata_place(component, "processingTimeout"),
                f"processingTimeout is {value}{' ms' * str(value).isdigit()}.",
                'Write more milliseconds than the work takes, such as "60000".',
            )
