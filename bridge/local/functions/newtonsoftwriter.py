"""JSON and text as .NET's library Newtonsoft.Json writes them: what `JToken.ToString()` makes of a value."""

from __future__ import annotations

import math
import re
from json.encoder import encode_basestring
from typing import Any

from bridge.local.functions.newtonsoftreader import JsonTime

_BREAKS = re.compile("[\x85\u2028\u2029]")


def text_of(value: Any) -> str:
    """What `ToString()` makes of a value: text as it is, `True`, `1000` for 1e3, nothing for null, objects and arrays with line breaks."""
    if isinstance(value, dict | list):
        return indented(value)
    if isinstance(value, JsonTime):
        return value.text
    if isinstance(value, float):
        return _number(value)
    return "" if value is None else str(value)


def indented(value: Any, margin: str = "") -> str:
    """JSON with two blanks for each level."""
    inner = f"{margin}  "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{quoted(name)}: {indented(each, inner)}" for name, each in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + indented(each, inner) for each in value) + f"\n{margin}]"
    return compact(value)


def compact(value: Any) -> str:
    """JSON without blanks."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(name)}:{compact(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    if isinstance(value, JsonTime):
        return quoted(value.written)
    if isinstance(value, float):
        return _json_number(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def quoted(text: str) -> str:
    """A text as JSON. Only what must be escaped is, and what ends a line in JavaScript."""
    shown: str = encode_basestring(text)
    return shown if shown.isascii() else _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", shown)


def _json_number(value: float) -> str:
    if not math.isfinite(value):
        return quoted(_number(value))
    text = _number(value)
    return text if "E" in text or "." in text else f"{text}.0"


def _number(value: float) -> str:
    """The shortest form that reads back; with an exponent from 1E+15 on and below 0.0001."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    mantissa, _, power = f"{value!r}e0".partition("e")
    exponent = int(power.partition("e")[0])
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction.rstrip("0")).lstrip("0") if fraction.rstrip("0") else whole.lstrip("0")
    if not digits:
        return "-0" if math.copysign(1, value) < 0 else "0"
    scale = exponent + (len(whole) if whole != "0" else -(len(fraction) - len(fraction.lstrip("0"))))
    sign = "-" if value < 0 else ""
    if not -5 < scale - 1 < 15:
        digits = digits.rstrip("0") or "0"
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}E{'+' if scale > 0 else '-'}{abs(scale - 1):02d}"
    if scale <= 0:
        return f"{sign}0.{'0' * -scale}{digits}"
    if len(digits) <= scale:
        return f"{sign}{digits}{'0' * (scale - len(digits))}"
    return f"{sign}{digits[:scale]}.{digits[scale:]}"
