"""Bindings of Dapr: when a schedule calls, and which way they work."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import PLACEHOLDER, component_type, go_duration, metadata_place, metadata_text, number

_WAYS = ("input", "output")
_FIELD = r"(\*|\?|[\dA-Z]+(-[\dA-Z]+)?)(/\d+)?"
_FIELDS = re.compile(r"((CRON_)?TZ=\S+\s+)?(LIST\s+){4,5}LIST".replace("LIST", rf"{_FIELD}(,{_FIELD})*"), re.IGNORECASE)
_NAMED = re.compile(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly)")
_EVERY = "@every "


def is_schedule(text: str) -> bool:
    """Whether the component of bindings.cron accepts the text: five fields, six with seconds in front, a name such as @daily, or @every."""
    if text.startswith(_EVERY):
        span = text.removeprefix(_EVERY)
        return number(span) is None and (found := go_duration(span)) is not None and found.total_seconds() > 0
    return bool(_NAMED.fullmatch(text) or _FIELDS.fullmatch(text))


@rule("cron-schedule-invalid", FindingLevel.ERROR, "The component does not initialize, and daprd exits with INIT_COMPONENT_FAILURE.")
def cron_schedule_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A schedule of bindings.cron that Dapr cannot parse."""
    for document in project.of_kind("Component", dapr=True):
        schedule = (metadata_text(document, "schedule") or "").strip() if component_type(document) == "bindings.cron" else ""
        is_filled_in = PLACEHOLDER.search(schedule) is not None and "*" not in schedule
        if schedule and not is_filled_in and not is_schedule(schedule):
            mend = 'Write it like "@every 15m", "0 * * * *", or with seconds in front "0 */15 * * * *".'
            yield hit(document, metadata_place(document, "schedule"), f"{schedule!r} is not a schedule.", mend)


@rule("direction-unknown", FindingLevel.ERROR, "The binding works in neither direction: no event comes in, and calls to it are refused.")
def direction_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A direction of a binding other than input, output, or both separated by a comma."""
    for document in project.of_kind("Component", dapr=True):
        direction = metadata_text(document, "direction") if component_type(document).startswith("bindings.") else None
        if direction and not PLACEHOLDER.search(direction) and not {each.strip().lower() for each in direction.split(",")} <= set(_WAYS):
            place = metadata_place(document, "direction")
            found = hit(document, place, f"direction is {direction!r}.", 'Write input, output, or "input, output".')
            yield misspelt(found, document, place, _WAYS)
