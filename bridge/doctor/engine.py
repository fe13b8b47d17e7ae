"""Runs every rule over a project, always in the same order."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.doctor.findings import RULES, DoctorFinding, FindingLevel, Hit
from bridge.doctor.project import DoctorProject
from bridge.doctor.rules import load_all

_IGNORED = re.compile(r"#\s*doctor:\s*ignore\s+([a-z0-9-]+)")


def examine(project: DoctorProject, *, advice: bool = False) -> list[DoctorFinding]:
    """All findings, sorted by file and line. Advice is included on request only. Comments such as `# doctor: ignore RULE` are respected."""
    load_all()
    hits: list[tuple[str, Hit]] = []
    patches = {each.file for each in project.documents if each.is_patch}
    for name, rule in RULES.items():
        if advice or rule.level is not FindingLevel.ADVICE:
            hits += [(name, each) for each in rule.check(project) if not (rule.of_lack and each.file in patches)]
    ignored = {(each.file, name) for each in project.documents for name in _IGNORED.findall(each.text)}
    found = [DoctorFinding(RULES[name], each) for name, each in dict.fromkeys(hits) if (each.file, name) not in ignored]
    return sorted(found, key=lambda each: (_order(each.hit), each.rule.name))


def _order(found: Hit) -> tuple[Path, int]:
    return found.file, found.line
