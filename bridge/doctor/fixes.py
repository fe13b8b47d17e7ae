"""Applies the fixes of findings to the files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bridge.doctor.findings import DoctorFinding, TextFix
from bridge.doctor.reading import STDIN


def write(findings: Iterable[DoctorFinding]) -> list[DoctorFinding]:
    """Change the files, and return the findings that were fixed. A file that is not UTF-8 stays unchanged. Raises OSError."""
    by_file: dict[Path, list[DoctorFinding]] = {}
    for each in findings:
        if each.hit.fix is not None and each.hit.file != STDIN:
            by_file.setdefault(each.hit.file, []).append(each)
    return [each for path, found in by_file.items() for each in _one(path, found)]


def _one(path: Path, findings: list[DoctorFinding]) -> list[DoctorFinding]:
    data = path.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return []
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    mended: list[DoctorFinding] = []
    before = len(text) + 1
    # From the end of the file, so that earlier positions stay valid. Of two overlapping changes only one is applied.
    for each in sorted(findings, key=lambda found: _fix(found).span, reverse=True):
        start, end = _fix(each).span
        if end <= before:
            text, before = text[:start] + _fix(each).text + text[end:], start
            mended.append(each)
    path.write_bytes((mark + text).encode())
    return mended


def _fix(finding: DoctorFinding) -> TextFix:
    assert finding.hit.fix is not None  # noqa: S101 - write() takes none without
    return finding.hit.fix
