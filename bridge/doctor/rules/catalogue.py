"""Rules about the catalogue together with policies and entities: whether each target has a receiver, and whether the times fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from bridge.catalog import Automation
from bridge.catalog.target import Target
from bridge.doctor import entityplaces
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import UNSURE, FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject, nearest
from bridge.doctor.values import PLACEHOLDER
from bridge.durations import show
from bridge.entities import UNLIMITED, Entities, SubscriptionEntity
from bridge.events import DEADLETTERS
from bridge.targets import unserved

_MANY = 20  #: dispatches of one piece of work that nobody means to have
_STANDARD = 256_000  #: bytes of a message on Service Bus Standard

Place = tuple[ConfigDocument, tuple[Key, ...]]


def _targets(project: DoctorProject) -> Iterator[tuple[Path, Automation, Target, Place]]:
    """Every target of every catalogue, with its position."""
    for path, catalogue in project.catalogues.items():
        for document in project.of_file(path):
            automation = catalogue.automations.get(document.name)
            for number, target in enumerate(automation.targets if automation else ()):
                if automation is not None:
                    yield path, automation, target, (document, ("spec", "targets", number))


def _entities(project: DoctorProject, path: Path) -> tuple[Path, Entities] | None:
    return nearest(project.entities, path)


@rule("entity-missing", FindingLevel.ERROR, "The bus refuses the work, so the run fails or waits until its deadline.")
def entity_missing(project: DoctorProject) -> Iterator[Hit]:
    """A topic or queue of a target that is missing from the list of Service Bus entities."""
    for path, _, target, (document, place) in _targets(project):
        near, bus = _entities(project, path), target.bus
        kind = "topic" if target.topic else "queue"
        if near is None or bus is None or bus.name in near[1].names:
            continue
        at = (*place, kind, "name")
        found = hit(document, at, f"{near[0].name} has no {kind} {bus.name}.", f"Add it to {near[0]}.")
        yield misspelt(found, document, at, near[1].names)


@rule("target-unserved", FindingLevel.ERROR, "No function receives the work, so the run waits until its deadline.")
def target_unserved(project: DoctorProject) -> Iterator[Hit]:
    """A topic target whose label no subscription accepts. The label is the name of the automation."""
    for path, automation, target, (document, place) in _targets(project):
        near = _entities(project, path)
        reason = unserved.behind_topics(project.catalogues[path], near[1]).get(f"{automation.name}/{target.name}") if near else None
        if reason and near:
            told, _, mend = reason.partition("; ")
            yield hit(
                document,
                (*place, "topic"),
                f"{told[0].upper()}{told[1:]}.",
                f"{mend[0].upper()}{mend[1:].replace('the entities file', str(near[0]))}.",
            )


def _work(project: DoctorProject) -> Iterator[tuple[Path, Automation, Target, SubscriptionEntity, Place]]:
    """Every topic target with each subscription that takes its work, and the position of that subscription."""
    for path, automation, target, _ in _targets(project):
        near = _entities(project, path)
        for place, topic, each in entityplaces.subscriptions(near[1]) if near else ():
            labels = [rule.properties.correlation_filter.label for rule in each.rules if rule.properties.correlation_filter]
            if near and target.topic and topic.name == target.topic.name and automation.name in labels:
                [document] = project.of_file(near[0])
                yield near[0], automation, target, each, (document, place)


@rule(
    "dead-letters-unread",
    FindingLevel.ERROR,
    "When the broker gives up on the work, its run does not fail. The run waits until its deadline, and the reason is not reported.",
)
def dead_letters_unread(project: DoctorProject) -> Iterator[Hit]:
    """A subscription for work whose dead letters are not forwarded to the bridge."""
    for _, _, target, subscription, (document, place) in _work(project):
        forwards = subscription.properties.forward_dead_lettered_messages_to
        if target.topic and (target.topic.completes or "result") == "result" and forwards != DEADLETTERS:
            path = (*place, "Properties")
            mend = f'Add "ForwardDeadLetteredMessagesTo": "{DEADLETTERS}".'
            yield hit(document, path, f"The dead letters of {subscription.name} are not forwarded to {DEADLETTERS}.", mend)


@rule("dispatches-multiply", FindingLevel.WARNING, "If the function always fails, it is called that many times for one request.")
def dispatches_multiply(project: DoctorProject) -> Iterator[Hit]:
    """A target whose attempts, multiplied by the MaxDeliveryCount of its subscription, are more than 20."""
    for _, automation, target, subscription, (document, place) in _work(project):
        deliveries = subscription.properties.max_delivery_count
        total = (target.topic.attempts if target.topic else 1) * deliveries
        if total > _MANY and deliveries < UNLIMITED:
            message = (
                f"{automation.name} has {total // deliveries} attempts, each with up to {deliveries} deliveries from {subscription.name}."
            )
            yield hit(document, (*place, "Properties", "MaxDeliveryCount"), message, "Set MaxDeliveryCount to 3.")


@rule("work-without-end", FindingLevel.WARNING, "A function that always fails is called without end.")
def work_without_end(project: DoctorProject) -> Iterator[Hit]:
    """A subscription for work with the largest MaxDeliveryCount, which is meant for the bridge's own subscriptions."""
    for _, _, _, subscription, (document, place) in _work(project):
        if subscription.properties.max_delivery_count == UNLIMITED:
            yield hit(
                document,
                (*place, "Properties", "MaxDeliveryCount"),
                f"{subscription.name} has no limit of deliveries.",
                "Set MaxDeliveryCount to 3.",
            )


@rule("filter-without-automation", FindingLevel.WARNING, "The rule matches nothing. Perhaps the automation was renamed.")
def filter_without_automation(project: DoctorProject) -> Iterator[Hit]:
    """A subscription rule for work whose label is not the name of an automation in the catalogue."""
    topics = {target.topic.name for _, _, target, _ in _targets(project) if target.topic}
    names = {each.name for catalogue in project.catalogues.values() for each in catalogue}
    for path, entities in project.entities.items():
        [document] = project.of_file(path)
        for place, topic, each in entityplaces.subscriptions(entities):
            for number, entry in enumerate(each.rules if topic.name in topics else ()):
                label = entry.properties.correlation_filter.label if entry.properties.correlation_filter else None
                if label and label not in names:
                    at = (*place, "Rules", number, "Properties", "CorrelationFilter", "Label")
                    yield misspelt(hit(document, at, f"No automation is named {label}.", UNSURE), document, at, names)


@rule(
    "deadline-too-short",
    FindingLevel.WARNING,
    "There is no time for a second attempt: after one slow call or one crash, the run times out.",
)
def deadline_too_short(project: DoctorProject) -> Iterator[Hit]:
    """A deadline shorter than twice the timeout of a call, where the policy retries."""
    for path, automation, target, (document, _) in _targets(project):
        near = nearest(project.policies, path)
        if near is None or target.http is None:
            continue
        policy = near[1].for_app(target.http.app)
        if policy.retry is not None and automation.deadline < 2 * policy.timeout:
            message = f"The deadline is {show(automation.deadline)}, but one call of {target.http.app} may take {show(policy.timeout)}."
            yield hit(document, ("spec", "deadline"), message, "Use a deadline of more than twice the timeout, or a shorter timeout.")


@rule("endpoint-missing", FindingLevel.ERROR, "On Dapr, calls of the app fail with UnknownApp.")
def endpoint_missing(project: DoctorProject) -> Iterator[Hit]:
    """An app of the catalogue without an HTTPEndpoint, although the files define other HTTPEndpoints."""
    for _, _, target, (document, place) in _targets(project):
        names = {each.name for each in project.of_kind("HTTPEndpoint", dapr=True)}
        if names and target.http and target.http.app not in names:
            at = (*place, "http", "app")
            found = hit(document, at, f"No HTTPEndpoint is named {target.http.app}.", "Add an HTTPEndpoint of that name.")
            yield misspelt(found, document, at, names)


@rule("endpoint-address", FindingLevel.ERROR, "The sidecar cannot call it, so every call of the endpoint fails.")
def endpoint_address(project: DoctorProject) -> Iterator[Hit]:
    """An HTTPEndpoint whose baseUrl is missing or is not an HTTP address."""
    for document in project.of_kind("HTTPEndpoint", dapr=True):
        url = document.get("spec", "baseUrl")
        if url is None and not document.is_patch:
            yield hit(document, ("spec",), f"{document.name} has no baseUrl.", "Add spec.baseUrl, such as https://host.")
        elif url is not None and not PLACEHOLDER.search(str(url)) and not re.match(r"https?://[^/\s]", str(url)):
            yield hit(document, ("spec", "baseUrl"), f"{url!r} is not an HTTP address.", "Write it like https://host.")


@rule("endpoint-unencrypted", FindingLevel.ERROR, "Keys and inputs cross the network in plain text.")
def endpoint_unencrypted(project: DoctorProject) -> Iterator[Hit]:
    """An HTTPEndpoint outside the cluster without TLS."""
    for document in project.of_kind("HTTPEndpoint", dapr=True):
        url = str(document.get("spec", "baseUrl", default=""))
        host = url.partition("://")[2].split("/")[0].split(":")[0]
        if url.startswith("http://") and host not in ("localhost", "127.0.0.1") and "." in host and not host.endswith((".svc", ".local")):
            yield hit(document, ("spec", "baseUrl"), f"{url} is not encrypted.", "Write https://.")


@rule(
    "input-above-bus",
    FindingLevel.ADVICE,
    "A message of Service Bus Standard has at most 256 kB. A larger input passes the schema, and is then refused or lost.",
)
def input_above_bus(project: DoctorProject) -> Iterator[Hit]:
    """A text field in the input of a topic or queue target that may exceed a message of Service Bus Standard."""
    for _, automation, target, (document, _) in _targets(project):
        fields = automation.input_schema.get("properties", {})
        for name, each in fields.items() if isinstance(fields, dict) and target.bus else ():
            if isinstance(each, dict) and isinstance(each.get("maxLength"), int) and each["maxLength"] > _STANDARD:
                path = ("spec", "input", "properties", name)
                mend = "On Standard, set maxLength to at most 200000. Premium allows more."
                yield hit(document, path, f"{name} may have {each['maxLength']:,} characters.", mend)


@rule("deadline-of-work", FindingLevel.ADVICE, "Such work waits behind other work, and the deadline includes the time of waiting.")
def deadline_of_work(project: DoctorProject) -> Iterator[Hit]:
    """A deadline of less than one minute for work that goes over a topic or queue."""
    for _, automation, target, (document, _) in _targets(project):
        if target.bus and automation.deadline < timedelta(minutes=1):
            yield hit(document, ("spec", "deadline"), f"The deadline is {show(automation.deadline)}.", "Use one minute or more.")
