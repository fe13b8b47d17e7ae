"""Sizes as people write them: "900kB", "1MiB", "8 GiB", or a plain number of bytes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse(text: object) -> int:
    """Read a size in bytes; kB, MB, GB and TB count in thousands, KiB, MiB, GiB and TiB in 1024s (IEC 80000-13).

    Raises ValueError with the value and the accepted form.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or match[2] not in _UNITS:
        raise ValueError(f'{text!r} is not a size; write it like "900kB", "1MiB", "8GiB" or as a number of bytes')
    return int(float(match[1]) * _UNITS[match[2]]) if "." in match[1] else int(match[1]) * _UNITS[match[2]]


def show(size: int) -> str:
    """Write a size in the largest unit that says it exactly."""
    exact = [unit for unit in _UNITS if size and size % _UNITS[unit] == 0]
    unit = max(exact, key=lambda unit: _UNITS[unit], default="B") or "B"
    return f"{size // _UNITS[unit]}{unit}"


Size = Annotated[int, BeforeValidator(parse)]
"""A pydantic field in bytes that takes the written form."""
