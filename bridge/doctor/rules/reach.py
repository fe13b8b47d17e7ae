"""Who loads what: scopes that are not app ids, resources that need one which their sidecar does not load, and names that hide others."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject, same_namespace, together
from bridge.doctor.values import PLACEHOLDER, component_type, is_true, metadata_place, metadata_text
from bridge.doctor.workloads import annotation, with_sidecar

_NO_APP_ID = re.compile(r"[\s/*,;:]")
_FILLED_IN = re.compile(r"[{<$]")
_OF_EACH_POD = re.compile(r"\{(podName|uuid)\}")


@rule("scope-invalid", FindingLevel.ERROR, "A scope is exactly one app id. No sidecar can have this one, so none loads the resource.")
def scope_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A scope that cannot be an app id: a wildcard, a name with a namespace, or several names."""
    for document in project.documents:
        for number, scope in enumerate(document.scopes if document.api.startswith("dapr.io/") else ()):
            if _NO_APP_ID.search(scope) and not _FILLED_IN.search(scope):
                mend = "Write one app id; without scopes every sidecar loads it."
                yield hit(document, ("scopes", number), f"{scope!r} is not an app id.", mend)


@rule("component-out-of-scope", FindingLevel.ERROR, "The sidecar loads one of the two without the other, so it can use neither.")
def component_out_of_scope(project: DoctorProject) -> Iterator[Hit]:
    """A subscription whose pub/sub component, or a resource whose secret store, is scoped to other applications."""
    components: dict[str, list[ConfigDocument]] = {}
    for component in project.of_kind("Component", dapr=True):
        components.setdefault(component.name, []).append(component)
    for document in project.of_kind("Subscription", "Component", "HTTPEndpoint", dapr=True):
        is_subscription = document.kind == "Subscription"
        path: tuple[Key, ...] = ("spec", "pubsubname") if is_subscription else ("auth", "secretStore")
        kind = "pubsub." if is_subscription else "secretstores."
        named = [each for each in components.get(str(document.get(*path)), ()) if component_type(each).startswith(kind)]
        needed = [each for each in named if together(each.file, document.file) and same_namespace(each, document)]
        missing = sorted(set(document.scopes) - {scope for each in needed for scope in each.scopes})
        if needed and all(each.scopes for each in needed) and document.scopes and missing:
            told = f"{needed[0].name} is not scoped to {' and '.join(missing)}."
            yield hit(document, path, told, f"Add {' and '.join(missing)} to the scopes of {needed[0].name}.")


@rule("secret-store-of-itself", FindingLevel.ERROR, "The store would have to be open before its own secret can be read, so daprd exits.")
def secret_store_of_itself(project: DoctorProject) -> Iterator[Hit]:
    """A secret store that reads its own credentials from itself."""
    for document in project.of_kind("Component", dapr=True):
        store = document.get("auth", "secretStore")
        if store == document.name and component_type(document).startswith("secretstores."):
            mend = "Read its credentials from another store, such as kubernetes, or use the identity of the Pod."
            yield hit(document, ("auth", "secretStore"), f"{store} reads its credentials from itself.", mend)


@rule("consumer-of-each-pod", FindingLevel.ERROR, "Service Bus has no subscription of that name, and the sidecar may not create it.")
def consumer_of_each_pod(project: DoctorProject) -> Iterator[Hit]:
    """A consumerID on Service Bus that is different for each Pod, together with disableEntityManagement."""
    for document in project.of_kind("Component", dapr=True):
        consumer = metadata_text(document, "consumerID") or ""
        is_topics = component_type(document) in ("pubsub.azure.servicebus", "pubsub.azure.servicebus.topics")
        if is_topics and _OF_EACH_POD.search(consumer) and is_true(metadata_text(document, "disableEntityManagement")):
            mend = "Name the existing subscription, the same for all Pods."
            yield hit(document, metadata_place(document, "consumerID"), f"consumerID is {consumer}.", mend)


@rule(
    "endpoint-hides-app",
    FindingLevel.ERROR,
    "Calls to the application go to the endpoint, because Dapr looks for an endpoint of that name first.",
)
def endpoint_hides_app(project: DoctorProject) -> Iterator[Hit]:
    """An HTTPEndpoint whose name is the app id of a workload."""
    workloads = {pod.document: annotation(pod, "dapr.io/app-id") for pod in with_sidecar(project)}
    for document in project.of_kind("HTTPEndpoint", dapr=True):
        if document.name in {workloads[each] for each in project.related(document, workloads)}:
            yield hit(document, ("metadata", "name"), f"{document.name} is an app id too.", "Give the endpoint another name.")


@rule("app-id-twice", FindingLevel.WARNING, "Callers reach one of the two by chance, and both read the same subscriptions and state.")
def app_id_twice(project: DoctorProject) -> Iterator[Hit]:
    """Two workloads of one file that have the same app id."""
    seen: dict[tuple[object, ...], str] = {}
    for pod in with_sidecar(project):
        document, name = pod.document, annotation(pod, "dapr.io/app-id")
        if not name or document.is_patch or PLACEHOLDER.search(name):
            continue
        other = seen.setdefault((document.file, document.namespace, name), document.name)
        if other != document.name:
            path = pod.at("metadata", "annotations", "dapr.io/app-id")
            yield hit(document, path, f"{other} has the app id {name} too.", "Give each workload an app id of its own.")
