"""Findings as SARIF 2.1.0 (OASIS), which code hosts show beside the lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.doctor.findings import DoctorFinding, DoctorRule, FindingLevel

_LEVELS = {FindingLevel.ERROR: "error", FindingLevel.WARNING: "warning", FindingLevel.ADVICE: "note"}


def report(findings: Sequence[DoctorFinding], rules: Mapping[str, DoctorRule], root: Path) -> dict[str, Any]:
    """The log of one run. Paths are relative to `root`, where they can be."""
    numbers = {name: number for number, name in enumerate(rules)}
    driver = {
        "name": "bridge doctor",
        "rules": [
            {
                "id": each.name,
                "shortDescription": {"text": (each.check.__doc__ or each.name).strip()},
                "fullDescription": {"text": each.why},
                "defaultConfiguration": {"level": _LEVELS[each.level]},
            }
            for each in rules.values()
        ],
    }
    results = [_result(each, numbers[each.rule.name], root) for each in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _result(finding: DoctorFinding, number: int, root: Path) -> dict[str, Any]:
    found = finding.hit
    file = found.file.absolute()
    uri = quote(file.relative_to(root).as_posix()) if file.is_relative_to(root) else file.as_uri()
    return {
        "ruleId": finding.rule.name,
        "ruleIndex": number,
        "level": _LEVELS[finding.rule.level],
        "message": {"text": f"{found.message} {finding.rule.why} {found.mend}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": found.line}}}],
    }
