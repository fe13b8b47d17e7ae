"""Addresses in components and Configurations: a host where a URL stands, a URL where a host does, and ports of another protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, TextFix, hit, replacing, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import PLACEHOLDER, component_type, metadata

#: Metadata that is one host or several, by the beginning of the types.
_HOSTS = {
    "namespacename": ("pubsub.azure.", "bindings.azure."),
    "redishost": ("pubsub.redis", "state.redis", "lock.redis", "configuration.redis", "bindings.redis"),
    "brokers": ("pubsub.kafka", "bindings.kafka"),
}
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PORTS = {"grpc": (4317, 4318), "http": (4318, 4317)}  #: of OpenTelemetry: that of the protocol, and that of the other


@rule("host-expected", FindingLevel.ERROR, "The component takes the whole URL for a host name, cannot resolve it, and daprd exits.")
def host_expected(project: DoctorProject) -> Iterator[Hit]:
    """A URL where a component expects a host: the namespace of Service Bus or Event Hubs, Redis, Kafka brokers."""
    for document in project.of_kind("Component", dapr=True):
        for index, name in metadata(document):
            kinds = _HOSTS.get(name.lower(), ())
            path: tuple[Key, ...] = ("spec", "metadata", index, "value")
            value = document.get(*path)
            if not kinds or not component_type(document).startswith(kinds) or not isinstance(value, str) or "@" in value:
                continue
            plain = ",".join(_URL.sub("", each.strip()).rstrip("/") for each in value.split(","))
            if plain != ",".join(each.strip() for each in value.split(",")):
                yield hit(document, path, f"{name} is {value}, which is not a host.", f"Write {plain}.", _fix(document, path, plain))


@rule("vault-name-expected", FindingLevel.ERROR, "Dapr builds the address from the name, so it connects to a host that does not exist.")
def vault_name_expected(project: DoctorProject) -> Iterator[Hit]:
    """A vaultName of Azure Key Vault that is a URL with a slash at its end, which Dapr does not reduce to the name."""
    for document in project.of_kind("Component", dapr=True):
        for index, name in metadata(document):
            path: tuple[Key, ...] = ("spec", "metadata", index, "value")
            value = document.get(*path)
            if name.lower() == "vaultname" and isinstance(value, str) and (_URL.match(value) or "/" in value) and value.endswith("/"):
                plain = _URL.sub("", value).partition(".")[0]
                yield hit(document, path, f"vaultName is {value}.", f"Write {plain}.", _fix(document, path, plain))


@rule("telemetry-address", FindingLevel.ERROR, "The sidecar cannot send its traces, and only its log says so.")
def telemetry_address(project: DoctorProject) -> Iterator[Hit]:
    """An OpenTelemetry collector that is not host:port, or has the port of the other protocol; a Zipkin address that is not a URL."""
    for document in project.configurations():
        tracing: tuple[Key, ...] = ("spec", "tracing")
        otel, zipkin = (document.get(*tracing, each, "endpointAddress") for each in ("otel", "zipkin"))
        if isinstance(otel, str) and otel and not PLACEHOLDER.search(otel):
            yield from _collector(document, (*tracing, "otel", "endpointAddress"), otel)
        if isinstance(zipkin, str) and zipkin and not PLACEHOLDER.search(zipkin) and not _URL.match(zipkin):
            mend = "Write the whole URL, such as http://zipkin.default.svc.cluster.local:9411/api/v2/spans."
            yield hit(document, (*tracing, "zipkin", "endpointAddress"), f"{zipkin} is not a URL.", mend)


def _collector(document: ConfigDocument, path: tuple[Key, ...], value: str) -> Iterator[Hit]:
    plain = _URL.sub("", value).partition("/")[0]
    protocol = str(document.get(*path[:-1], "protocol", default="")).lower()
    right, wrong = _PORTS.get(protocol, (0, 0))
    if plain != value:
        yield hit(document, path, f"endpointAddress is {value}.", f"Write host:port, here {plain}.", _fix(document, path, plain))
    elif right and value.endswith(f":{wrong}"):
        told = f"The protocol is {protocol}, and {wrong} is the port of the other one."
        yield hit(document, path, told, f"Write {right}, or the other protocol.")


def _fix(document: ConfigDocument, path: tuple[Key, ...], text: str) -> TextFix | None:
    return replacing(document.value_span(*path), f'"{text}"' if ":" in text or "," in text else text)
