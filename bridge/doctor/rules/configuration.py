"""Dapr's Configuration: tracing, middleware, who may call, and whether a sidecar reads it at all."""

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
_VERBS = ("*", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")


def _configurations(project: DoctorProject) -> Iterator[ConfigDocument]:
    return project.of_kind("Configuration", dapr=True)


@rule("sampling-zero", FindingLevel.ERROR, "It switches tracing off: the traceparent of what is published through the sidecar is lost.")
def sampling_zero(project: DoctorProject) -> Iterator[Hit]:
    """A sampling rate of 0."""
    for document in _configurations(project):
        path = ("spec", "tracing", "samplingRate")
        value = document.get(*path)
        if value is not None and _rate(value) == 0:
            mend = 'Write "0.000001" to begin hardly any trace and join those of others.'
            yield hit(document, path, f"samplingRate is {value}.", mend, replacing(document.value_span(*path), '"0.000001"'))


@rule("sampling-invalid", FindingLevel.ERROR, "Dapr takes it for its default, or does not start.")
def sampling_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A sampling rate that is no number from 0 to 1 in quotes."""
    for document in _configurations(project):
        path = ("spec", "tracing", "samplingRate")
        value = document.get(*path)
        rate = _rate(value)
        if value is not None and (rate is None or not 0 <= rate <= 1):
            yield hit(document, path, f"samplingRate is {value!r}.", 'Write a number from 0 to 1 in quotes, such as "0.01".')
        elif value is not None and not isinstance(value, str):
            fix = replacing(document.value_span(*path), f'"{value}"')
            yield hit(document, path, f"samplingRate is the number {value}; it must be text.", f'Write "{value}".', fix)


def _rate(value: object) -> float | None:
    try:
        return None if isinstance(value, bool) else float(str(value))
    except ValueError:
        return None


@rule("middleware-unknown", FindingLevel.ERROR, "Dapr passes over a middleware that it does not know with no word in its log.")
def middleware_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A handler of a pipeline that is no middleware of Dapr, or that no component is named for, where there are components beside it."""
    types = [each for each in known.types() if each.startswith("middleware.http.")]
    components = [(each.name, component_type(each)) for each in project.of_kind("Component", dapr=True)]
    for document in _configurations(project):
        beside = project.beside(document, "Component")
        for pipeline in ("httpPipeline", "appHttpPipeline"):
            for index, handler in document.items("spec", pipeline, "handlers"):
                kind, name = (str(handler.get(each, "")) if isinstance(handler, dict) else "" for each in ("type", "name"))
                path = ("spec", pipeline, "handlers", index)
                if IS_POLICY.search(kind):
                    continue  # resiliency-elsewhere says it better
                if kind not in types:
                    found = hit(document, (*path, "type"), f"Dapr has no middleware {kind or 'without a type'}.", UNSURE)
                    yield misspelt(found, document, (*path, "type"), types)
                elif beside and (name, kind) not in components:
                    mend = "Add the component beside it, or remove the handler."
                    yield hit(document, path, f"No component is named {name} and has the type {kind}.", mend)


@rule("configuration-word-unknown", FindingLevel.ERROR, "Dapr takes another word for the opposite or refuses the Configuration.")
def configuration_word_unknown(project: DoctorProject) -> Iterator[Hit]:
    """An action, a protocol or a verb of a Configuration that Dapr does not know."""
    for document in _configurations(project):
        for path, words in _words(document):
            value = document.get(*path)
            if value is not None and str(value).lower() not in map(str.lower, words):
                found = hit(
                    document, path, f"{path[-1] if isinstance(path[-1], str) else path[-2]} is {value!r}.", f"Write {' or '.join(words)}."
                )
                yield misspelt(found, document, path, words)


def _words(document: ConfigDocument) -> Iterator[tuple[tuple[Key, ...], Sequence[str]]]:
    """The places of a Configuration in which one of a few words stands, with these."""
    access: tuple[Key, ...] = ("spec", "accessControl")
    yield (*access, "defaultAction"), _ACTIONS
    for number, policy in document.items(*access, "policies"):
        yield (*access, "policies", number, "defaultAction"), _ACTIONS
        operations = policy.get("operations") if isinstance(policy, dict) else None
        for index, operation in enumerate(operations if isinstance(operations, list) else ()):
            place = (*access, "policies", number, "operations", index)
            yield (*place, "action"), _ACTIONS
            verbs = operation.get("httpVerb") if isinstance(operation, dict) else None
            yield from (((*place, "httpVerb", each), _VERBS) for each in range(len(verbs) if isinstance(verbs, list) else 0))
    for number, _ in document.items("spec", "secrets", "scopes"):
        yield ("spec", "secrets", "scopes", number, "defaultAccess"), _ACTIONS
    for group in ("allowed", "denied"):
        yield from ((("spec", "api", group, number, "protocol"), ("http", "grpc")) for number, _ in document.items("spec", "api", group))
    yield ("spec", "tracing", "otel", "protocol"), ("http", "grpc")


@rule("mtls-off", FindingLevel.WARNING, "Sidecars speak without encryption and do not know each other: whoever reaches a port may call.")
def mtls_off(project: DoctorProject) -> Iterator[Hit]:
    """Mutual TLS that is switched off."""
    for document in _configurations(project):
        if document.get("spec", "mtls", "enabled") is False:
            yield hit(document, ("spec", "mtls", "enabled"), "mtls is off.", "Remove it; it is on by default.")


@rule("certificate-time-invalid", FindingLevel.ERROR, "Sentry does not start with it, so no sidecar gets a certificate.")
def certificate_time_invalid(project: DoctorProject) -> Iterator[Hit]:
    """The life of certificates, or the skew of clocks, that is no duration."""
    for document in _configurations(project):
        for field in ("workloadCertTTL", "allowedClockSkew"):
            value = document.get("spec", "mtls", field)
            if value is not None and go_duration(value) is None:
                yield hit(document, ("spec", "mtls", field), f"{field} is {value!r}.", "Write it like 24h or 15m.")


@rule(
    "everybody-may-call",
    FindingLevel.WARNING,
    "Every sidecar that no policy names may call the application; with the app token that its own sidecar adds.",
)
def everybody_may_call(project: DoctorProject) -> Iterator[Hit]:
    """An access control that allows by default."""
    for document in _configurations(project):
        if str(document.get("spec", "accessControl", "defaultAction", default="")).lower() == "allow":
            path = ("spec", "accessControl", "defaultAction")
            yield hit(document, path, "defaultAction is allow.", "Write deny, and policies for those that may call.")


@rule(
    "api-list-of-one-protocol", FindingLevel.WARNING, "Dapr keeps the lists by protocol: all of the protocol that has no entry is allowed."
)
def api_list_of_one_protocol(project: DoctorProject) -> Iterator[Hit]:
    """A list of allowed calls with entries for HTTP or gRPC only."""
    for document in _configurations(project):
        protocols = {
            str(each.get("protocol", "http")).lower() for _, each in document.items("spec", "api", "allowed") if isinstance(each, dict)
        }
        if protocols in ({"http"}, {"grpc"}):
            missing = "grpc" if protocols == {"http"} else "http"
            mend = f"Add one for it, such as {{name: metadata, version: v1, protocol: {missing}}}."
            yield hit(document, ("spec", "api", "allowed"), f"No entry is for {missing}.", mend)


@rule("path-metrics", FindingLevel.ADVICE, "Every path becomes a time series of its own, and the sidecar's memory grows.")
def path_metrics(project: DoctorProject) -> Iterator[Hit]:
    """Metrics with increasedCardinality."""
    for document in _configurations(project):
        for field in ("metrics", "metric"):
            path = ("spec", field, "http", "increasedCardinality")
            if document.get(*path) is True:
                yield hit(document, path, "increasedCardinality is on.", "Write false.", replacing(document.value_span(*path), "false"))


@rule("configuration-not-named", FindingLevel.WARNING, "A Configuration counts only for sidecars that name it.")
def configuration_not_named(project: DoctorProject) -> Iterator[Hit]:
    """A Configuration that no workload beside it names, although there are workloads with a sidecar."""
    workloads = {pod.document: annotation(pod, "dapr.io/config") for pod in with_sidecar(project)}
    for document in _configurations(project):
        named = {workloads[each] for each in project.related(document, workloads)}
        if named and document.name not in {*workloads.values(), "daprsystem"}:
            mend = f"Add the annotation dapr.io/config: {document.name} to the workload that it is for."
            yield hit(document, ("metadata", "name"), f"No workload names the Configuration {document.name}.", mend)
