"""Reads the instructions of the Dockerfile."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from tests.sharedtools import CHECKOUT

FILE = CHECKOUT / "deploy" / "image" / "Dockerfile"


class Instruction(NamedTuple):
    """An instruction, such as RUN, and what follows it, on one line."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """What follows it in the form of JSON, behind its options: the words of a command."""
        found: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return found


def instructions() -> list[Instruction]:
    """All instructions in their order."""
    text = re.sub(r"^\s*#.*\n", "", FILE.read_text(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line.strip()]
    return [Instruction(*line.split(None, 1)) for line in lines]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, without its FROM."""
    found: list[list[Instruction]] = []
    for each in instructions():
        if each.name == "FROM":
            found.append([])
        elif found:
            found[-1].append(each)
    return found


def of(name: str) -> list[str]:
    """What follows every instruction of a name."""
    return [each.rest for each in instructions() if each.name == name]
