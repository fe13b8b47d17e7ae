"""Rules about the metadata of components: unknown names, wrong values and missing entries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import UNSURE, FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import PLACEHOLDER, component_type, go_duration, is_truth, metadata, number

_WAYS_IN = ("connectionString", "namespaceName")
_COSMOS = (("url",), ("database",), ("collection",))
#: Metadata of which one of each group must be there.
_NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "bindings.aws.s3": (("bucket",),),
    "bindings.aws.sqs": (("queueName",),),
    "bindings.azure.blobstorage": (("containerName", "container"),),
    "bindings.azure.cosmosdb": (*_COSMOS, ("partitionKey",)),
    "bindings.azure.servicebus.queues": (_WAYS_IN, ("queueName",)),
    "bindings.azure.servicebusqueues": (_WAYS_IN, ("queueName",)),
    "bindings.azure.storagequeues": (("queueName", "queue"),),
    "bindings.cron": (("schedule",),),
    "bindings.graphql": (("endpoint",),),
    "bindings.http": (("url",),),
    "bindings.kafka": (("brokers",),),
    "bindings.redis": (("redisHost",),),
    "configuration.redis": (("redisHost",),),
    "crypto.azure.keyvault": (("vaultName",),),
    "lock.redis": (("redisHost",),),
    "pubsub.azure.servicebus": (_WAYS_IN,),
    "pubsub.azure.servicebus.queues": (_WAYS_IN,),
    "pubsub.azure.servicebus.topics": (_WAYS_IN,),
    "pubsub.kafka": (("brokers",), ("authType", "authRequired")),
    "pubsub.redis": (("redisHost",),),
    "secretstores.azure.keyvault": (("vaultName",),),
    "secretstores.local.file": (("secretsFile",),),
    "state.azure.cosmosdb": _COSMOS,
    "state.redis": (("redisHost",),),
    "state.sqlite": (("connectionString", "url"),),
}
#: Names that whoever writes the component chooses.
_FREE = {"bindings.graphql": re.compile(r"header:.+"), "pubsub.pulsar": re.compile(r".+\.(json|avro|proto|raw)schema")}
_KAFKA: dict[str, tuple[str, ...]] = {
    "authtype": ("none", "password", "mtls", "certificate", "oidc", "oidc_private_key_jwt", "awsiam"),
    "initialoffset": ("newest", "oldest"),
}
_REDIS: dict[str, tuple[str, ...]] = {"redistype": ("node", "cluster")}
#: Words besides which a component takes no other, by its type and the name of the metadata.
_ALL_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("pubsub.kafka", "bindings.kafka"), _KAFKA),
    **dict.fromkeys(("pubsub.redis", "state.redis", "lock.redis", "configuration.redis", "bindings.redis"), _REDIS),
}
#: Numbers that must be more than 0.
_POSITIVE = frozenset({"maxrequestspersecond"})
_COUNTED = re.compile(r"InSec|InMs|PerSec|^max(ActiveMessages|ConcurrentHandlers|DeliveryCount)$|^concurrency$|^queueDepth$|^redisDB$")


def _components(project: DoctorProject) -> Iterator[ConfigDocument]:
    return project.of_kind("Component", dapr=True)


def _needed(document: ConfigDocument) -> set[str]:
    return {name.lower() for group in _NEEDED.get(component_type(document), ()) for name in group}


@rule("metadata-unknown", FindingLevel.ERROR, "Dapr ignores it silently, and the default applies.")
def metadata_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A metadata name that the component does not have. Letter case does not matter."""
    for document in _components(project):
        names = known.types().get(component_type(document))
        if names is None:
            continue
        spelled = {name.lower() for name in names} | known.COMMON_METADATA
        free = _FREE.get(component_type(document))
        for index, name in metadata(document):
            if name.lower() not in spelled and not (free and free.fullmatch(name)):
                path = ("spec", "metadata", index, "name")
                found = hit(document, path, f"{name} is not a metadata name of {component_type(document)}.", UNSURE)
                yield misspelt(found, document, path, names)


@rule("metadata-twice", FindingLevel.WARNING, "Only one of the two values is used.")
def metadata_twice(project: DoctorProject) -> Iterator[Hit]:
    """A metadata name that appears twice in a component."""
    for document in _components(project):
        seen: set[str] = set()
        for index, name in metadata(document):
            if name.lower() in seen:
                yield hit(document, ("spec", "metadata", index, "name"), f"{name} appears twice.", "Keep one of them.")
            seen.add(name.lower())


@rule(
    "metadata-missing", FindingLevel.ERROR, "The component does not initialize, and daprd exits with INIT_COMPONENT_FAILURE.", of_lack=True
)
def metadata_missing(project: DoctorProject) -> Iterator[Hit]:
    """A component without metadata that it needs."""
    for document in _components(project):
        names = {name.lower() for _, name in metadata(document)}
        for group in _NEEDED.get(component_type(document), ()):
            if not names & {each.lower() for each in group}:
                message = f"Component {document.name} has no {' or '.join(group)}."
                yield hit(document, ("spec", "metadata"), message, "Add it with a value, an envRef or a secretKeyRef.")


@rule("metadata-without-value", FindingLevel.ERROR, "The value is then an empty string, which is seldom what was meant.")
def metadata_without_value(project: DoctorProject) -> Iterator[Hit]:
    """A metadata entry without a name, with neither a value nor a reference, or with both."""
    for document in _components(project):
        for index, each in document.items("spec", "metadata"):
            if isinstance(each, dict) and not isinstance(each.get("name"), str):
                mend = "Add its name, such as name: redisHost."
                yield hit(document, ("spec", "metadata", index), "An entry of the metadata has no name.", mend)
        for index, name in metadata(document):
            entry = document.mapping("spec", "metadata", index)
            sources = [each for each in ("value", "secretKeyRef", "envRef") if entry.get(each) is not None]
            if not sources and "value" in entry and name.lower() not in _needed(document):
                continue  # an empty value says nothing, which is often meant
            if len(sources) != 1:
                told = f"{name} has {' and '.join(sources) if sources else 'no value'}"
                yield hit(document, ("spec", "metadata", index), f"{told}.", "Give it exactly one of value, envRef and secretKeyRef.")
            elif sources[0] == "secretKeyRef" and not document.get("spec", "metadata", index, "secretKeyRef", "name"):
                yield hit(document, ("spec", "metadata", index), f"The secretKeyRef of {name} has no name.", "Add the name and the key.")


@rule("number-expected", FindingLevel.ERROR, "The component rejects the value and daprd exits, or the default applies.")
def number_expected(project: DoctorProject) -> Iterator[Hit]:
    """A metadata value that is not a number, although its component, or a name such as lockRenewalInSec, requires one."""
    for document in _components(project):
        kind = component_type(document)
        is_counted = kind.startswith(("pubsub.azure.servicebus", "pubsub.redis", "state.redis"))
        for place, name, value in _plain(document):
            counts = is_counted and _COUNTED.search(name) is not None
            if (counts or known.value_of(kind, name) == "number") and not _is_number(value, whole=counts):
                told = "not a whole number" if counts else "not a number"
                yield hit(document, place, f"{name} is {value!r}, which is {told}.", "Write digits only, in quotes.")
            elif name.lower() in _POSITIVE and (not _is_number(value, whole=False) or float(value) <= 0):
                yield hit(document, place, f"{name} is {value!r}.", "Write a number of more than 0, in quotes.")


@rule("metadata-value", FindingLevel.ERROR, "The component rejects the value and daprd exits, or the default applies silently.")
def metadata_value(project: DoctorProject) -> Iterator[Hit]:
    """A metadata value that is not a valid boolean or duration, or is not one of the keywords of the component."""
    for document in _components(project):
        for place, name, value in _plain(document):
            wanted = known.value_of(component_type(document), name)
            words = _ALL_WORDS.get(component_type(document), {}).get(name.lower(), ())
            if name.lower() == "direction" and component_type(document).startswith("bindings."):
                continue  # direction-unknown reports this
            if words and value.lower() not in words:
                found = hit(document, place, f"{name} is {value!r}.", f"Write {', '.join(words[:-1])} or {words[-1]}.")
                yield misspelt(found, document, place, words)
            elif wanted == "bool" and not is_truth(value):
                found = hit(document, place, f"{name} is {value!r}, which Dapr reads as false.", 'Write "true" or "false".')
                yield misspelt(found, document, place, ("true", "false"))
            elif wanted == "duration" and go_duration(value) is None:
                yield hit(document, place, f"{name} is {value!r}, which is not a duration.", "Write it like 500ms, 30s or 1m30s.")
            elif not words and isinstance(wanted, list) and value.lower() not in {str(each).lower() for each in wanted}:
                found = hit(document, place, f"{name} is {value!r}, which {component_type(document)} does not know.", "")
                yield from [misspelt(found, document, place, wanted)] if known.near(value, wanted) else []


def _plain(document: ConfigDocument) -> Iterator[tuple[tuple[Key, ...], str, str]]:
    """The metadata entries with a value in the file: path, name and value. Placeholders are left out."""
    for index, name in metadata(document):
        value = document.get("spec", "metadata", index, "value")
        if isinstance(value, str | int | float) and str(value) and not PLACEHOLDER.search(str(value)):
            yield ("spec", "metadata", index, "value"), name, str(value).lower() if isinstance(value, bool) else str(value)


def _is_number(value: str, *, whole: bool) -> bool:
    if whole:
        return number(value) is not None
    try:
        float(value)
    except ValueError:
        return False
    return True
