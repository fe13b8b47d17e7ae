"""Summarizes the output of a demo automation in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any


def tell(automation: str, output: Any, most: int = 110) -> str:
    """The line for a person. An output of an unknown shape is shown unchanged, cut to `most` characters."""
    try:
        line = _LINES[automation](output)
    except (KeyError, TypeError):
        line = brief(output)
    return line if len(line) <= most else line[: most - 1] + "…"


def brief(value: Any) -> str:
    """A value in one line: scalar fields first, and only the size of everything longer."""
    if not isinstance(value, dict):
        return _word(value)
    fields = sorted(value.items(), key=lambda item: isinstance(item[1], dict | list))
    return ", ".join(f"{name} {_word(content)}" for name, content in fields)


def _word(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"({len(value)})"
    return value if isinstance(value, str) else json.dumps(value)


def _certificate(found: Mapping[str, Any]) -> str:
    name = found["subject"].rpartition("CN=")[2].partition(",")[0]
    return f"{name}: {found['keyType']} {found.get('keyBits', '')}, until {found['notAfter'][:10]} ({found['daysLeft']:,} days)"


def _table(found: Mapping[str, Any]) -> str:
    return f"{found['rows']:,} rows; columns {', '.join(column['name'] for column in found['columns'])}"


def _fleet(found: Mapping[str, Any]) -> str:
    expiry, strength = found["expiry"], found["strength"]
    soon = f"{expiry['expired']} expired, {expiry['withinWarnDays']} within {expiry['warnDays']} days"
    return f"{expiry['certificates']} certificates: {soon}, {strength['weak']['count']} weak"


def _host(found: Mapping[str, Any]) -> str:
    most = ", ".join(process["name"] for process in found["processes"]["top"])
    memory = f"{found['memory']['bytes'] / 2**30:.1f} GiB"
    machine = f"{found['system']['host']}: {found['processors']} processors, {memory}"
    return f"{machine}, {found['processes']['count']} processes, most memory: {most}"


def _redacted(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in found["redacted"].items()) or "nothing to redact"


def _inventory(found: Mapping[str, Any]) -> str:
    python, powershell = found["python"], found["powershell"]
    return f"Python {python['python']} and PowerShell {powershell['system']['powershell']} on {powershell['system']['description']}"


_LINES: Mapping[str, Callable[[Any], str]] = {
    "certificate.inspect": _certificate,
    "table.summarize": _table,
    "fleet.certificates": _fleet,
    "host.inventory": _host,
    "text.redact": _redacted,
    "fleet.inventory": _inventory,
}
