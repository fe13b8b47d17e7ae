"""Rules about Service Bus components together with the list of entities: locks, timeouts and concurrency."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from bridge import resilience
from bridge.doctor import entityplaces
from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject, nearest
from bridge.doctor.rules.subscriptions import feeds_bridge, subscribed_to
from bridge.doctor.values import component_type, is_true, metadata_place, metadata_text, number
from bridge.durations import show
from bridge.entities import SubscriptionProperties
from bridge.files import packaged

_LOCK = timedelta(minutes=1)
_RENEWAL, _HANDLER = timedelta(seconds=20), timedelta(seconds=60)  #: defaults of the component
_PACKAGED = packaged.FOLDER / "resiliency.yaml"  #: the policies of a bridge that was given none
BUS = ("pubsub.azure.servicebus.topics", "pubsub.azure.servicebus", "pubsub.azure.servicebus.queues")


def _on_service_bus(project: DoctorProject) -> Iterator[ConfigDocument]:
    """The components that deliver events from Service Bus."""
    return (each for each in project.of_kind("Component", dapr=True) if component_type(each) in BUS)


def read_by(project: DoctorProject, component: ConfigDocument, consumer: str) -> list[SubscriptionProperties]:
    """The subscriptions in the list of entities that the component reads."""
    near = nearest(project.entities, component.file)
    found = entityplaces.subscriptions(near[1]) if near else ()
    return [each.properties for _, _, each in found if each.name == consumer]


@rule("single-delivery", FindingLevel.WARNING, "Any restart during a delivery turns the event into a dead letter.")
def single_delivery(project: DoctorProject) -> Iterator[Hit]:
    """A MaxDeliveryCount of 1, in a component that creates its subscriptions or in the list of entities."""
    for component in _on_service_bus(project):
        if number(metadata_text(component, "maxDeliveryCount")) == 1:
            yield hit(component, metadata_place(component, "maxDeliveryCount"), "maxDeliveryCount is 1.", "Set it to 3 or more.")
    for path, entities in project.entities.items():
        [document] = project.of_file(path)
        for place, name, properties in entityplaces.read_from(entities):
            if properties.max_delivery_count == 1:
                yield hit(document, (*place, "Properties", "MaxDeliveryCount"), f"MaxDeliveryCount of {name} is 1.", "Set it to 3 or more.")


@rule("lock-too-long", FindingLevel.ERROR, "Service Bus rejects the entity, because a lock lasts at most five minutes.")
def lock_too_long(project: DoctorProject) -> Iterator[Hit]:
    """A LockDuration above PT5M."""
    for path, entities in project.entities.items():
        [document] = project.of_file(path)
        for place, name, properties in entityplaces.read_from(entities):
            if properties.lock_duration > timedelta(minutes=5):
                yield hit(
                    document,
                    (*place, "Properties", "LockDuration"),
                    f"LockDuration of {name} is longer than PT5M.",
                    "Write PT5M or less. Locks are renewed while work is in progress.",
                )


@rule(
    "lock-not-renewed",
    FindingLevel.ERROR,
    "The lock expires before it is renewed, so the event is delivered again while it is being handled.",
)
def lock_not_renewed(project: DoctorProject) -> Iterator[Hit]:
    """A lockRenewalInSec that is not shorter than the lock duration."""
    for component in _on_service_bus(project):
        seconds = number(metadata_text(component, "lockRenewalInSec"))
        renewal = _RENEWAL if seconds is None else timedelta(seconds=seconds)
        own = number(metadata_text(component, "lockDurationInSec"))
        locks = [each.lock_duration for each in read_by(project, component, metadata_text(component, "consumerID") or "")]
        lock = min(locks, default=timedelta(seconds=own) if own else _LOCK)
        if renewal >= lock:
            message = f"Locks are renewed every {show(renewal)} and last {show(lock)}."
            yield hit(
                component,
                metadata_place(component, "lockRenewalInSec"),
                message,
                "Renew after a third of the lock duration: 20 for a lock of one minute.",
            )


@rule(
    "handler-ends-first",
    FindingLevel.ERROR,
    "The delivery times out while the function is still running. The event is delivered again, and the function starts a second time.",
)
def handler_ends_first(project: DoctorProject) -> Iterator[Hit]:
    """A handlerTimeoutInSec that is not longer than the longest timeout of a function call."""
    for component in _on_service_bus(project):
        if not any(feeds_bridge(each) for each in subscribed_to(project, component)):
            continue
        path, policies = nearest(project.policies, component.file) or (_PACKAGED, resilience.load(_PACKAGED))
        seconds = number(metadata_text(component, "handlerTimeoutInSec"))
        handler = _HANDLER if seconds is None else timedelta(seconds=seconds)
        longest = max(each.timeout for each in (policies.otherwise, *policies.by_app.values()))
        if timedelta(0) < handler <= longest:
            message = f"A delivery times out after {show(handler)}, and a call may take {show(longest)} ({path.parent.name}/{path.name})."
            yield hit(
                component, metadata_place(component, "handlerTimeoutInSec"), message, "Set a longer handlerTimeoutInSec, such as 300."
            )


@rule("messages-held", FindingLevel.WARNING, "One replica locks events that it cannot handle yet while another replica is idle.")
def messages_held(project: DoctorProject) -> Iterator[Hit]:
    """A maxActiveMessages above maxConcurrentHandlers."""
    for component in _on_service_bus(project):
        active = number(metadata_text(component, "maxActiveMessages")) or 1000
        handlers = number(metadata_text(component, "maxConcurrentHandlers"))
        if handlers and active > handlers:
            message = f"{active} events are locked at a time, but only {handlers} are handled."
            yield hit(component, metadata_place(component, "maxActiveMessages"), message, "Set both to the same number.")


@rule(
    "setting-without-effect",
    FindingLevel.WARNING,
    "The sidecar creates no subscriptions, so those of the broker keep the properties that they were created with.",
)
def setting_without_effect(project: DoctorProject) -> Iterator[Hit]:
    """Properties of a subscription in a component that has disableEntityManagement."""
    names = ("maxDeliveryCount", "lockDurationInSec", "defaultMessageTimeToLiveInSec", "autoDeleteOnIdleInSec")
    for component in _on_service_bus(project):
        if is_true(metadata_text(component, "disableEntityManagement")):
            for name in names:
                if metadata_text(component, name) is not None:
                    place = metadata_place(component, name)
                    yield hit(
                        component, place, f"{name} has no effect with disableEntityManagement.", "Set it where the subscription is created."
                    )
