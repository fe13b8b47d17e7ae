"""Reads canary.yaml: the automations to request, their inputs, and the expected outputs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from bridge.durations import Duration
from bridge.errors import ConfigurationError
from bridge.files import yamlfile


def _at_most_a_minute(span: timedelta) -> timedelta:
    if not timedelta(0) < span <= timedelta(minutes=1):
        raise ValueError("expected more than 0s, and 1m at most")
    return span


class CanaryCase(BaseModel):
    """One automation, its input, its expected output and the time it may take. A case without an output accepts any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    automation: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    input: JsonValue = Field(default_factory=dict)
    output: JsonValue = None
    within: Annotated[Duration, AfterValidator(_at_most_a_minute)] = timedelta(seconds=30)

    @property
    def any_output(self) -> bool:
        """Whether no output is given; `null` is an output."""
        return "output" not in self.model_fields_set


_CASES: TypeAdapter[list[CanaryCase]] = TypeAdapter(Annotated[list[CanaryCase], Field(min_length=1)])


def load(path: Path) -> list[CanaryCase]:
    """The cases of a file, which is a list. Raises ConfigurationError with every problem and its place."""
    documents = yamlfile.read(path, "Name the file of the canary.")
    try:
        return _CASES.validate_python(documents[0] if len(documents) == 1 else documents)
    except ValidationError as fault:
        raise ConfigurationError(
            [f"{path}, {_place(each['loc'])}: {each['msg'].removeprefix('Value error, ')}" for each in fault.errors(include_url=False)]
        ) from None


def _place(loc: tuple[Any, ...]) -> str:
    """The place of an error, such as `entry 2, within`; its first part is the number of the case."""
    first, *rest = loc or ("the file",)
    named = f"entry {first + 1}" if isinstance(first, int) else str(first)
    return ", ".join([named, *(str(each) for each in rest if isinstance(each, str))])
