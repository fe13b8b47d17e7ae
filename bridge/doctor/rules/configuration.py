"""Rules about Dapr's Configuration: tracing, middleware, access control, and whether any sidecar uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import UNSURE, FindingLevel, Hit, hit, misspelt, replacing, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.rules.resiliency import IS_POLICY
from bridge.doctor.values import component_type, go_duration
from bridge.doctor.workloads import annotation, with_sidecar

_ACTIONS = ("allow", "deny")
VERBS = ("*", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")


@rule(
    "sampling-zero",
    FindingLevel.ERROR,
    "It switches tracing off, and the traceparent of everything that is published through the sidecar is lost.",
)
def sampling_zero(project: DoctorProject) -> Iterator[Hit]:
    """A samplingRate of 0."""
    for document in project.configurations():
        path = ("spec", "tracing", "samplingRate")
        value = document.get(*path)
        if value is not None and _rate(value) == 0:
            mend = 'Write "0.000001": the sidecar then starts almost no trace of its own and still joins the traces of others.'
            yield hit(document, path, f"samplingRate is {value}.", mend, replacing(document.value_span(*path), '"0.000001"'))


@rule("sampling-invalid", FindingLevel.ERROR, "Dapr uses its default instead, or does not start.")
def sampling_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A samplingRate that is not a number from 0 to 1 in quotes."""
    for document in project.configurations():
        path = ("spec", "tracing", "samplingRate")
        value = document.get(*path)
        rate = _rate(value)
        if value is not None and (rate is None or not 0 <= rate <= 1):
            yield hit(document, path, f"samplingRate is {value!r}.", 'Write a number from 0 to 1 in quotes, such as "0.01".')
        elif value is not None and not isinstance(value, str):
            fix = replacing(document.value_span(*path), f'"{value}"')
            yield hit(document, path, f"samplingRate is the number {value}; it must be a string.", f'Write "{value}".', fix)


def _rate(value: object) -> float | None:
    try:
        return None if isinstance(value, bool) else float(str(value))
    except ValueError:
        return None


@rule("middleware-unknown", FindingLevel.ERROR, "Dapr ignores a middleware that it does not know, and logs nothing.")
def middleware_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A pipeline handler that is not a Dapr middleware, or that none of the components beside it defines."""
    types = [each for each in known.types() if each.startswith("middleware.http.")]
    components = [(each.name, component_type(each)) for each in project.of_kind("Component", dapr=True)]
    for document in project.configurations():
        beside = project.beside(document, "Component")
        for pipeline in ("httpPipeline", "appHttpPipeline"):
            for index, handler in document.items("spec", pipeline, "handlers"):
                kind, name = (str(handler.get(each, "")) if isinstance(handler, dict) else "" for each in ("type", "name"))
                path = ("spec", pipeline, "handlers", index)
                if IS_POLICY.search(kind):
                    continue  # resiliency-elsewhere says it better
                if kind not in types:
                    found = hit(
                        document, (*path, "type"), f"Dapr has no middleware {kind}." if kind else "The handler has no type.", UNSURE
                    )
                    yield misspelt(found, document, (*path, "type"), types)
                elif beside and (name, kind) not in components:
                    mend = "Add the component beside it, or remove the handler."
                    yield hit(document, path, f"No component is named {name} and has the type {kind}.", mend)


@rule(
    "configuration-word-unknown",
    FindingLevel.ERROR,
    "Dapr treats the unknown word as the opposite of what was meant, or rejects the Configuration.",
)
def configuration_word_unknown(project: DoctorProject) -> Iterator[Hit]:
    """An action, protocol or HTTP verb in a Configuration that Dapr does not know."""
    for document in project.configurations():
        for path, words in _words(document):
            value = document.get(*path)
            if value is not None and str(value).lower() not in map(str.lower, words):
                found = hit(
                    document, path, f"{path[-1] if isinstance(path[-1], str) else path[-2]} is {value!r}.", f"Write {' or '.join(words)}."
                )
                yield misspelt(found, document, path, words)


def _words(document: ConfigDocument) -> Iterator[tuple[tuple[Key, ...], Sequence[str]]]:
    """Each place in a Configuration that takes one of a few words, with these words."""
    access: tuple[Key, ...] = ("spec", "accessControl")
    yield (*access, "defaultAction"), _ACTIONS
    for number, policy in document.items(*access, "policies"):
        yield (*access, "policies", number, "defaultAction"), _ACTIONS
        operations = policy.get("operations") if isinstance(policy, dict) else None
        for index, operation in enumerate(operations if isinstance(operations, list) else ()):
            place = (*access, "policies", number, "operations", index)
            yield (*place, "action"), _ACTIONS
            verbs = operation.get("httpVerb") if isinstance(operation, dict) else None
            yield from (((*place, "httpVerb", each), VERBS) for each in range(len(verbs) if isinstance(verbs, list) else 0))
    for number, _ in document.items("spec", "secrets", "scopes"):
        yield ("spec", "secrets", "scopes", number, "defaultAccess"), _ACTIONS
    for group in ("allowed", "denied"):
        yield from ((("spec", "api", group, number, "protocol"), ("http", "grpc")) for number, _ in document.items("spec", "api", group))
    yield ("spec", "tracing", "otel", "protocol"), ("http", "grpc")


@rule(
    "mtls-off",
    FindingLevel.WARNING,
    "Sidecars communicate unencrypted and do not authenticate each other, so whoever can reach a port may call.",
)
def mtls_off(project: DoctorProject) -> Iterator[Hit]:
    """Mutual TLS that is switched off."""
    for document in project.configurations():
        if document.get("spec", "mtls", "enabled") is False:
            yield hit(document, ("spec", "mtls", "enabled"), "mtls is switched off.", "Remove it; it is on by default.")


@rule("certificate-time-invalid", FindingLevel.ERROR, "Sentry does not start, so no sidecar receives a certificate.")
def certificate_time_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A certificate lifetime (workloadCertTTL) or an allowedClockSkew that is not a valid duration."""
    for document in project.configurations():
        for field in ("workloadCertTTL", "allowedClockSkew"):
            value = document.get("spec", "mtls", field)
            if value is not None and go_duration(value) is None:
                yield hit(document, ("spec", "mtls", field), f"{field} is {value!r}.", "Write it like 24h or 15m.")


@rule(
    "everybody-may-call",
    FindingLevel.WARNING,
    "Every sidecar that no policy names may call the application, and the application's own sidecar adds the app token to these calls.",
)
def everybody_may_call(project: DoctorProject) -> Iterator[Hit]:
    """An access control policy whose default action is allow."""
    for document in project.configurations():
        if str(document.get("spec", "accessControl", "defaultAction", default="")).lower() == "allow":
            path = ("spec", "accessControl", "defaultAction")
            yield hit(document, path, "defaultAction is allow.", "Write deny, and add policies for the applications that may call.")


@rule(
    "api-list-of-one-protocol",
    FindingLevel.WARNING,
    "Dapr keeps one list for each protocol. A protocol without an entry is not restricted.",
)
def api_list_of_one_protocol(project: DoctorProject) -> Iterator[Hit]:
    """A list of allowed APIs with entries for only one of the protocols HTTP and gRPC."""
    for document in project.configurations():
        protocols = {
            str(each.get("protocol", "http")).lower() for _, each in document.items("spec", "api", "allowed") if isinstance(each, dict)
        }
        if protocols in ({"http"}, {"grpc"}):
            missing = "grpc" if protocols == {"http"} else "http"
            mend = f"Add one, such as {{name: metadata, version: v1, protocol: {missing}}}."
            yield hit(document, ("spec", "api", "allowed"), f"There is no entry for {missing}.", mend)


@rule("path-metrics", FindingLevel.ADVICE, "Every path becomes a time series of its own, and the sidecar's memory grows.")
def path_metrics(project: DoctorProject) -> Iterator[Hit]:
    """Metrics with increasedCardinality."""
    for document in project.configurations():
        for field in ("metrics", "metric"):
            path = ("spec", field, "http", "increasedCardinality")
            if document.get(*path) is True:
                yield hit(
                    document, path, "increasedCardinality is switched on.", "Write false.", replacing(document.value_span(*path), "false")
                )


@rule("configuration-not-named", FindingLevel.WARNING, "A Configuration applies only to sidecars whose annotation dapr.io/config names it.")
def configuration_not_named(project: DoctorProject) -> Iterator[Hit]:
    """A Configuration that none of the workloads with a sidecar beside it refers to."""
    workloads = {pod.document: annotation(pod, "dapr.io/config") for pod in with_sidecar(project)}
    for document in project.configurations():
        named = {workloads[each] for each in project.related(document, workloads)}
        if named and document.name not in {*workloads.values(), "daprsystem"}:
            mend = f"Add the annotation dapr.io/config: {document.name} to the workload that should use it."
            yield hit(document, ("metadata", "name"), f"No workload names the Configuration {document.name}.", mend)
