"""Rules about the size of inputs, compared with the largest message of the bus."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ByteSize, TypeAdapter, ValidationError

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.rules.workloads import is_bridge
from bridge.doctor.workloads import pods

_STANDARD = 256_000  #: bytes of a message (Service Bus quotas)
_SIZE = TypeAdapter(ByteSize)


def _limits(project: DoctorProject) -> Iterator[tuple[ConfigDocument, tuple[Key, ...], int | None, int | None]]:
    """Each place that limits the inputs of a bridge on Service Bus, with the limit and the largest message of the bus, if one is set."""
    for document in project.settings_files:
        if document.get("runtime") == "dapr" or document.get("servicebus") is not None:
            yield document, ("max_input_bytes",), _bytes(document.get("max_input_bytes")), _bytes(document.get("max_event_bytes"))
    for pod in pods(project):
        for path, _ in pod.containers() if is_bridge(pod) else ():
            listed = [(index, each) for index, each in pod.document.items(*path, "env") if isinstance(each, dict)]
            entries = {str(each.get("name")): (index, each.get("value")) for index, each in listed}
            if "BRIDGE_MAX_INPUT_BYTES" in entries:
                index, value = entries["BRIDGE_MAX_INPUT_BYTES"]
                yield pod.document, (*path, "env", index), _bytes(value), _bytes(entries.get("BRIDGE_MAX_EVENT_BYTES", (0, None))[1])


def _bytes(value: object) -> int | None:
    try:
        return None if value is None or isinstance(value, bool) else int(_SIZE.validate_python(value))
    except ValidationError:
        return None


@rule(
    "inputs-above-bus",
    FindingLevel.ERROR,
    "A request of that size passes the limit, but the bus then refuses or loses it.",
)
def inputs_above_bus(project: DoctorProject) -> Iterator[Hit]:
    """An input limit above `max_event_bytes`, the largest message of the bus, or above 256 kB (Service Bus Standard) if that is not set."""
    for document, path, inputs, carried in _limits(project):
        if inputs is not None and inputs > (carried or _STANDARD):
            told = f"the {carried:,} of max_event_bytes" if carried else "the 256 kB of Service Bus Standard"
            mend = "Set a smaller limit, such as 200000. On Premium, which allows more, set max_event_bytes as well, such as 1000000."
            yield hit(document, path, f"Inputs may have {inputs:,} bytes, more than {told}.", mend)
