"""The base of all entities of the list, their names, and durations in ISO 8601 form."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_pascal

_DURATION = re.compile(r"P(?=[\dT])(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def _iso(text: object) -> timedelta:
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        shown = f"{text[:40]!r}" if isinstance(text, str) else repr(text)[:40]
        raise ValueError(f'{shown} is not a duration; write it as in ISO 8601, like "PT30S", "PT1M", "PT1H" or "P7D"')
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError(f'"{match[0][:40]}" is longer than time itself; the longest duration is "P999999999D"') from None


def _more_than_none(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("expected more than PT0S")
    return span


Span = Annotated[timedelta, BeforeValidator(_iso), AfterValidator(_more_than_none)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,258}[A-Za-z0-9])?$")]
Target = Annotated[Name | None, BeforeValidator(lambda name: None if name == "" else name)]  # Microsoft's samples have "" for none
RuleName = Annotated[str, Field(pattern=r"^[$A-Za-z0-9]([A-Za-z0-9._-]{0,258}[A-Za-z0-9])?$")]  # the rule that Azure makes is `$Default`


class EntityShape(BaseModel):
    """The base of all entities. Fields are named as Microsoft names them, and unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, alias_generator=to_pascal, validate_by_name=False
    )
