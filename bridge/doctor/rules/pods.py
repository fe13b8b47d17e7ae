"""What must fit within a Pod: requests and limits, and the ports of the application and of its sidecar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.rules.workloads import is_bridge
from bridge.doctor.values import PLACEHOLDER
from bridge.doctor.workloads import PROBES, annotation, listed, pods, with_sidecar

_FACTORS = {"": 1, "n": "1e-9", "u": "1e-6", "m": "1e-3", **{unit: 10 ** (3 * each) for each, unit in enumerate("kMGTPE", 1)}}
_FACTORS |= {f"{unit}i": 2 ** (10 * each) for each, unit in enumerate("KMGTPE", 1)}
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:([numkMGTPE]?|[KMGTPE]i)|[eE](\d+))")
_GO_MEMORY = re.compile(r"(\d+)(B|KiB|MiB|GiB|TiB)?")
_SIDECAR_PORTS = ("3500", "50001")


def quantity(value: object) -> Decimal | None:
    """A quantity of Kubernetes, such as 100m or 256Mi; None for anything else."""
    found = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    if found is None:
        return None
    try:
        factor = Decimal(10) ** int(found[3]) if found[3] else Decimal(str(_FACTORS[found[2] or ""]))
        return Decimal(found[1]) * factor
    except (InvalidOperation, OverflowError):
        return None


@rule("request-above-limit", FindingLevel.ERROR, "Kubernetes rejects the Pod: a request must not be larger than the limit.")
def request_above_limit(project: DoctorProject) -> Iterator[Hit]:
    """A CPU or memory request of a container or of the sidecar that is larger than its limit."""
    for pod in pods(project):
        for path, _ in pod.containers():
            for name in ("cpu", "memory"):
                requested, limit = (pod.document.get(*path, "resources", each, name) for each in ("requests", "limits"))
                yield from above(pod.document, (*path, "resources", "requests", name), name, requested, limit)
        for name in ("cpu", "memory"):
            requested, limit = (annotation(pod, f"dapr.io/sidecar-{name}-{each}") for each in ("request", "limit"))
            yield from above(pod.document, pod.at("metadata", "annotations", f"dapr.io/sidecar-{name}-request"), name, requested, limit)


def above(document: ConfigDocument, path: tuple[Key, ...], name: str, requested: object, limit: object) -> Iterator[Hit]:
    """The finding for a request of `name` (cpu, memory) that is larger than its limit."""
    asked, most = quantity(requested), quantity(limit)
    if asked is not None and most is not None and asked > most:
        yield hit(document, path, f"The {name} request {requested} is larger than the limit {limit}.", "Request the limit or less.")


@rule("go-memory-above-limit", FindingLevel.ERROR, "Go collects garbage too late: the container is killed for its memory use before that.")
def go_memory_above_limit(project: DoctorProject) -> Iterator[Hit]:
    """A GOMEMLIMIT of the sidecar or of a container that is not below its memory limit."""
    for pod in pods(project):
        of_sidecar = dict(each.strip().partition("=")[::2] for each in annotation(pod, "dapr.io/env").split(","))
        place = pod.at("metadata", "annotations", "dapr.io/env")
        yield from _go(pod.document, place, of_sidecar.get("GOMEMLIMIT"), annotation(pod, "dapr.io/sidecar-memory-limit"))
        for path, container in pod.containers():
            for index, each in enumerate(listed(container, "env")):
                if isinstance(each, dict) and each.get("name") == "GOMEMLIMIT":
                    limit = pod.document.get(*path, "resources", "limits", "memory")
                    yield from _go(pod.document, (*path, "env", index, "value"), each.get("value"), limit)


def _go(document: ConfigDocument, path: tuple[Key, ...], value: object, limit: object) -> Iterator[Hit]:
    found, most = _GO_MEMORY.fullmatch(str(value)), quantity(limit)
    if found is None or most is None:
        return
    size = quantity(f"{found[1]}{(found[2] or '').removesuffix('B')}")
    if size is not None and size >= most:
        yield hit(document, path, f"GOMEMLIMIT is {value}, and the memory limit is {limit}.", "Use about 90 % of the limit, or less.")


@rule("sidecar-asked-from-outside", FindingLevel.ERROR, "The sidecar listens only inside the Pod, so the probe always fails.")
def sidecar_asked_from_outside(project: DoctorProject) -> Iterator[Hit]:
    """A probe of the application container that asks a port of the sidecar."""
    for pod in with_sidecar(project):
        if annotation(pod, "dapr.io/sidecar-listen-addresses"):
            continue
        for path, _ in pod.containers():
            for probe in PROBES:
                for way in ("httpGet", "tcpSocket", "grpc"):
                    place = (*path, probe, way, "port")
                    if str(pod.document.get(*place)) in _SIDECAR_PORTS:
                        mend = "Probe the application; the injector adds probes for the sidecar."
                        yield hit(pod.document, place, f"The {probe} asks the sidecar.", mend)


@rule(
    "app-port-differs",
    FindingLevel.WARNING,
    "If nothing listens there, the sidecar waits for the application forever and delivers nothing.",
)
def app_port_differs(project: DoctorProject) -> Iterator[Hit]:
    """A dapr.io/app-port that no container declares and that appears nowhere else in the Pod, although a container declares other ports."""
    for pod in with_sidecar(project):
        port = "" if is_bridge(pod) else annotation(pod, "dapr.io/app-port")
        containers = [each for _, each in pod.containers()]
        said = {str(each.get("containerPort")) for one in containers for each in listed(one, "ports") if isinstance(each, dict)}
        is_elsewhere = any(port in str({name: value for name, value in each.items() if name != "image"}) for each in containers)
        if (
            port.isdigit()
            and port not in _SIDECAR_PORTS
            and said
            and not is_elsewhere
            and not any(PLACEHOLDER.search(each) for each in said)
        ):
            path = pod.at("metadata", "annotations", "dapr.io/app-port")
            told = f"No container declares the port {port}; declared are {', '.join(sorted(said))}."
            yield hit(pod.document, path, told, "Write the port on which the application listens.")


@rule(
    "host-network-with-sidecar",
    FindingLevel.WARNING,
    "The sidecar listens on ports of the node, so a second such Pod on the same node never starts.",
)
def host_network_with_sidecar(project: DoctorProject) -> Iterator[Hit]:
    """A Pod with a sidecar and hostNetwork."""
    for pod in with_sidecar(project):
        path = pod.at("spec", "hostNetwork")
        if pod.document.get(*path) is True and pod.document.kind != "DaemonSet":
            yield hit(
                pod.document, path, "The Pod has hostNetwork and a sidecar.", "Remove hostNetwork, or give each workload ports of its own."
            )
