"""Components: their type, their metadata, and values that Dapr reads otherwise than they are meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import UNSURE, FindingLevel, Hit, hit, misspelt, replacing, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import component_type, go_duration, is_true, metadata, metadata_text, number

_SECRET = re.compile(
    r"(password|secret|masterkey|accountkey|accesskey|storageaccountkey|sharedaccesskey|token|privatekey|sastoken|apikey)$", re.IGNORECASE
)
_NO_SECRET = re.compile(r"azureClientId|tokenUri|tokenUrl|secretName|tokenPath|secretKeyRef", re.IGNORECASE)
SECRET_INSIDE = re.compile(
    r"(SharedAccessKey|AccountKey|password|pwd|SharedAccessSignature)\s*=\s*[^;\s{$]+|://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE
)
#: Metadata of which one of each group must be there.
_NEEDED = {
    "pubsub.redis": (("redisHost",),),
    "state.redis": (("redisHost",),),
    "pubsub.azure.servicebus.topics": (("connectionString", "namespaceName"),),
    "pubsub.azure.servicebus.queues": (("connectionString", "namespaceName"),),
    "state.azure.cosmosdb": (("url",), ("database",), ("collection",)),
    "secretstores.azure.keyvault": (("vaultName",),),
    "secretstores.local.file": (("secretsFile",),),
    "state.sqlite": (("connectionString",),),
    "pubsub.kafka": (("brokers",),),
}
_WHOLE_NUMBERS = {"redeliverInterval", "processingTimeout"}


def _components(project: DoctorProject) -> Iterator[ConfigDocument]:
    return project.of_kind("Component", dapr=True)


@rule("component-type-unknown", FindingLevel.ERROR, "daprd ends with an error when it loads the component.")
def component_type_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A type that no component of Dapr has; pluggable ones are left alone."""
    for document in _components(project):
        kind = component_type(document)
        if kind in known.types() or not kind:
            if not kind:
                yield hit(document, ("spec",), f"Component {document.name} has no spec.type.", "Say what it is, such as state.redis.")
            continue
        path = ("spec", "type")
        message = f"Dapr {known.version()} has no component of the type {kind}."
        found = hit(document, path, message, "Correct it; if it is a pluggable component, ignore this rule in a comment.")
        yield misspelt(found, document, path, known.types())


@rule("component-version", FindingLevel.ERROR, "daprd finds no such component and ends.")
def component_version(project: DoctorProject) -> Iterator[Hit]:
    """A version that is missing or not written as v1."""
    for document in _components(project):
        version = document.get("spec", "version")
        if version is not None and not re.fullmatch(r"v\d+(alpha\d*|beta\d*)?", str(version)):
            fix = replacing(document.value_span("spec", "version"), "v1")
            yield hit(document, ("spec", "version"), f"{version!r} is no version of a component.", "Write v1.", fix)


@rule("metadata-unknown", FindingLevel.ERROR, "Dapr passes over it in silence, and the default counts.")
def metadata_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A metadata name that the component does not have. Letter case does not count."""
    for document in _components(project):
        names = known.types().get(component_type(document))
        if names is None:
            continue
        spelled = {name.lower() for name in names} | known.COMMON_METADATA
        for index, name in metadata(document):
            if name.lower() not in spelled:
                path = ("spec", "metadata", index, "name")
                found = hit(document, path, f"{name} is no metadata of {component_type(document)}.", UNSURE)
                yield misspelt(found, document, path, names)


@rule("metadata-twice", FindingLevel.WARNING, "Only one of the two counts.")
def metadata_twice(project: DoctorProject) -> Iterator[Hit]:
    """A metadata name that stands twice in a component."""
    for document in _components(project):
        seen: set[str] = set()
        for index, name in metadata(document):
            if name.lower() in seen:
                yield hit(document, ("spec", "metadata", index, "name"), f"{name} stands twice.", "Keep one of them.")
            seen.add(name.lower())


@rule("metadata-missing", FindingLevel.ERROR, "The component cannot be made, and daprd ends with INIT_COMPONENT_FAILURE.")
def metadata_missing(project: DoctorProject) -> Iterator[Hit]:
    """Metadata without which a component cannot work."""
    for document in _components(project):
        names = {name.lower() for _, name in metadata(document)}
        for group in _NEEDED.get(component_type(document), ()):
            if not names & {each.lower() for each in group}:
                message = f"Component {document.name} has no {' or '.join(group)}."
                yield hit(document, ("spec", "metadata"), message, "Add it with value, envRef or secretKeyRef.")


@rule("metadata-without-value", FindingLevel.ERROR, "The value is empty text, which is seldom what was meant.")
def metadata_without_value(project: DoctorProject) -> Iterator[Hit]:
    """Metadata that has neither a value nor a reference, or both."""
    for document in _components(project):
        for index, name in metadata(document):
            entry = document.mapping("spec", "metadata", index)
            sources = [each for each in ("value", "secretKeyRef", "envRef") if entry.get(each) is not None]
            if len(sources) != 1:
                told = f"{name} has {' and '.join(sources) if sources else 'no value'}"
                yield hit(document, ("spec", "metadata", index), f"{told}.", "Give it one of value, envRef and secretKeyRef.")
            elif sources[0] == "secretKeyRef" and not document.get("spec", "metadata", index, "secretKeyRef", "name"):
                yield hit(document, ("spec", "metadata", index), f"The secretKeyRef of {name} has no name.", "Add name, and key.")


@rule("two-ways-in", FindingLevel.ERROR, "The component refuses both together, and daprd ends.")
def two_ways_in(project: DoctorProject) -> Iterator[Hit]:
    """A Service Bus component with connectionString and namespaceName."""
    for document in _components(project):
        names = {name.lower(): index for index, name in metadata(document)}
        if "servicebus" in component_type(document) and {"connectionstring", "namespacename"} <= set(names):
            place = ("spec", "metadata", names["connectionstring"])
            yield hit(document, place, "It has connectionString and namespaceName.", "Keep namespaceName, and give the identity its roles.")


@rule("secret-in-file", FindingLevel.ERROR, "Whoever reads the file, the repository or the resource in the cluster has the secret.")
def secret_in_file(project: DoctorProject) -> Iterator[Hit]:
    """A secret that stands in a component, an endpoint or the environment of a container."""
    for document in _components(project):
        for index, name in metadata(document):
            value = metadata_text(document, name)
            if value and _is_secret(name, value):
                path = ("spec", "metadata", index, "name")
                yield hit(
                    document,
                    path,
                    f"{name} stands in the file as plain text.",
                    "Put it into a secret store, and name it with secretKeyRef.",
                )
    for document in project.of_kind("HTTPEndpoint", dapr=True):
        for index, header in document.items("spec", "headers"):
            name = str(header.get("name", "")) if isinstance(header, dict) else ""
            if isinstance(header, dict) and header.get("value") and re.search(r"key|token|authorization|secret", name, re.IGNORECASE):
                yield hit(document, ("spec", "headers", index), f"{name} stands in the file as plain text.", "Name it with secretKeyRef.")


def _is_secret(name: str, value: str) -> bool:
    if SECRET_INSIDE.search(value) and not value.startswith("file:"):
        return "UseDevelopmentEmulator=true" not in value
    return bool(_SECRET.search(name)) and not _NO_SECRET.search(name) and not is_true(value) and value.lower() != "false"


@rule("secret-store-unknown", FindingLevel.ERROR, "The references are not resolved: values are empty, calls go out without a key.")
def secret_store_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A store that is not among the components; or none, while all other references beside it name one."""
    for document in project.of_kind("Component", "HTTPEndpoint", dapr=True):
        if not _has_references(document):
            continue
        store = str(document.get("auth", "secretStore", default=""))
        stores = {each.name for each in project.beside(document, "Component") if component_type(each).startswith("secretstores.")}
        if store and stores and store not in {*stores, "kubernetes"}:
            path = ("auth", "secretStore")
            found = hit(document, path, f"No secret store is named {store}.", f"There is {', '.join(sorted(stores))}.")
            yield misspelt(found, document, path, stores)
        elif not store and stores and _others_name_one(project, document):
            mend = f"Add auth: {{secretStore: {min(stores)}}}; without it the secrets of Kubernetes are meant."
            yield hit(document, ("metadata", "name"), f"{document.name} has secretKeyRef and names no secret store.", mend)


def _has_references(document: ConfigDocument) -> bool:
    entries = [*document.items("spec", "metadata"), *document.items("spec", "headers")]
    return any(isinstance(each, dict) and each.get("secretKeyRef") for _, each in entries)


def _others_name_one(project: DoctorProject, document: ConfigDocument) -> bool:
    others = [each for each in project.beside(document, "Component", "HTTPEndpoint") if each is not document and _has_references(each)]
    return bool(others) and all(each.get("auth", "secretStore") for each in others)


@rule(
    "redis-interval-unit",
    FindingLevel.ERROR,
    "Redis components read bare milliseconds; with a unit redeliverInterval is ignored, and lost work never comes again.",
)
def redis_interval_unit(project: DoctorProject) -> Iterator[Hit]:
    """`redeliverInterval` and `processingTimeout` with a unit."""
    for document in _components(project):
        if component_type(document) != "pubsub.redis":
            continue
        for index, name in metadata(document):
            value = metadata_text(document, name) or ""
            span = go_duration(value) if name in _WHOLE_NUMBERS and not value.isdigit() else None
            if span is not None:
                place = ("spec", "metadata", index, "value")
                milliseconds = str(round(span.total_seconds() * 1000))
                fix = replacing(document.value_span(*place), f'"{milliseconds}"')
                yield hit(document, place, f"{name} is {value!r}.", f'Write the milliseconds: "{milliseconds}".', fix)


@rule("number-expected", FindingLevel.ERROR, "The component refuses it and daprd ends, or the default counts.")
def number_expected(project: DoctorProject) -> Iterator[Hit]:
    """Metadata whose name says seconds, milliseconds or a count, with a value that is no whole number."""
    counted = re.compile(r"InSec|InMs|PerSec|^max(ActiveMessages|ConcurrentHandlers|DeliveryCount)$|^concurrency$|^queueDepth$|^redisDB$")
    for document in _components(project):
        if not component_type(document).startswith(("pubsub.azure.servicebus", "pubsub.redis", "state.redis")):
            continue
        for index, name in metadata(document):
            value = metadata_text(document, name)
            if value is not None and counted.search(name) and number(value) is None:
                place = ("spec", "metadata", index, "value")
                yield hit(document, place, f"{name} is {value!r}, which is no whole number.", "Write digits only, in quotes.")


@rule("state-store-of-actors", FindingLevel.ERROR, "daprd ends: only one store may keep actors.")
def two_actor_stores(project: DoctorProject) -> Iterator[Hit]:
    """Two state stores of one set with actorStateStore."""
    stores = [each for each in _components(project) if is_true(metadata_text(each, "actorStateStore"))]
    for document in stores:
        others = [each for each in project.beside(document, "Component") if each in stores]
        if others and others[0] is not document:
            yield hit(
                document,
                ("metadata", "name"),
                f"{document.name} and {others[0].name} both have actorStateStore.",
                "Keep it in one of them.",
            )


@rule("keys-by-app-id", FindingLevel.ADVICE, "Keys begin with the app id by default: whoever renames the app finds no run again.")
def keys_by_app_id(project: DoctorProject) -> Iterator[Hit]:
    """A state store without keyPrefix."""
    for document in _components(project):
        if component_type(document).startswith("state.") and metadata_text(document, "keyPrefix") is None:
            yield hit(document, ("spec", "metadata"), f"{document.name} has no keyPrefix.", 'Add keyPrefix with the value "name".')


@rule("init-timeout", FindingLevel.ERROR, "daprd does not load the component.")
def init_timeout(project: DoctorProject) -> Iterator[Hit]:
    """`spec.initTimeout` that is no duration of Go."""
    for document in _components(project):
        value: Any = document.get("spec", "initTimeout")
        if value is not None and go_duration(value) is None:
            yield hit(document, ("spec", "initTimeout"), f"{value!r} is no duration.", "Write it like 30s or 1m.")
