"""Triggers of KEDA: their types, what those of Service Bus name, and how they sign in."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, replacing, rule
from bridge.doctor.project import DoctorProject

_SUFFIX = ".servicebus.windows.net"


def _triggers(project: DoctorProject) -> Iterator[tuple[ConfigDocument, tuple[Key, ...]]]:
    for document in project.of_kind("ScaledObject", "ScaledJob"):
        for index, trigger in document.items("spec", "triggers") if document.api.startswith("keda.sh/") else ():
            if isinstance(trigger, dict):
                yield document, ("spec", "triggers", index)


@rule("trigger-incomplete", FindingLevel.ERROR, "KEDA refuses the trigger and does not scale by it, and nothing else reports this.")
def trigger_incomplete(project: DoctorProject) -> Iterator[Hit]:
    """A KEDA trigger on Service Bus without a queue or subscription, or a trigger with an unknown TriggerAuthentication."""
    authentications = [each for each in project.of_kind("TriggerAuthentication") if each.api.startswith("keda.sh/")]
    for document, path in _triggers(project):
        beside = {each.name for each in authentications if each.file == document.file}
        given = document.mapping(*path, "metadata")
        is_bus = document.get(*path, "type") == "azure-servicebus"
        if is_bus and not given.get("queueName") and not (given.get("topicName") and given.get("subscriptionName")):
            place = (*path, "metadata", "topicName") if given.get("topicName") else path
            told = (
                "The trigger names a topic and no subscription"
                if given.get("topicName")
                else "The trigger names neither a queue nor a subscription"
            )
            yield hit(document, place, f"{told}.", "Add queueName, or topicName and subscriptionName.")
        place = (*path, "authenticationRef", "name")
        named = document.get(*place)
        is_other = document.get(*path, "authenticationRef", "kind", default="TriggerAuthentication") == "TriggerAuthentication"
        if isinstance(named, str) and beside and is_other and named not in {each.name for each in authentications}:
            found = hit(document, place, f"No TriggerAuthentication is named {named}.", f"There is {', '.join(sorted(beside))}.")
            yield misspelt(found, document, place, beside)


@rule("trigger-invalid", FindingLevel.ERROR, "KEDA refuses the trigger and scales nothing, and only its log says so.")
def trigger_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A KEDA trigger with a misspelt type, or one on Service Bus with both a queue and a topic, or with the domain in its namespace."""
    for document, path in _triggers(project):
        kind, given = str(document.get(*path, "type", default="")), document.mapping(*path, "metadata")
        if kind not in known.scalers() and known.near(kind, known.scalers()):
            found = hit(document, (*path, "type"), f"KEDA has no scaler {kind}.", "Correct the type.")
            yield misspelt(found, document, (*path, "type"), known.scalers())
        if kind != "azure-servicebus":
            continue
        both = next((each for each in ("topicName", "subscriptionName") if given.get("queueName") and given.get(each)), "")
        if both:
            yield hit(
                document, (*path, "metadata", "queueName"), f"It has queueName and {both}.", "Keep a queue, or a topic with a subscription."
            )
        namespace, place = given.get("namespace"), (*path, "metadata", "namespace")
        if isinstance(namespace, str) and namespace.endswith(_SUFFIX):
            plain = namespace.removesuffix(_SUFFIX).rpartition("/")[2]
            fix = replacing(document.value_span(*place), plain)
            yield hit(document, place, f"namespace is {namespace}; KEDA appends the domain itself.", f"Write {plain}.", fix)
