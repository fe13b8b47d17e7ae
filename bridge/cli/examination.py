"""Runs `bridge doctor`: reads what the request names, examines it, and prints the findings."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from bridge import certificates, settings
from bridge.certificates import UnreadableCertificates
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen, short
from bridge.doctor import engine, fixes, ownfiles, reading, sarif
from bridge.doctor.findings import RULES, DoctorFinding, FindingLevel, Hit
from bridge.doctor.project import DoctorProject
from bridge.doctor.rules.certificates import RENEW, problem
from bridge.errors import ConfigurationError
from bridge.files import packaged, textfile
from bridge.settings import RuntimeName, Settings

_SECONDS = 10.0
_STYLES = {FindingLevel.ERROR: "red", FindingLevel.WARNING: "yellow", FindingLevel.ADVICE: "cyan"}


@dataclass(frozen=True)
class DoctorRequest:
    """What to examine (files and folders, certificates in files or of servers, a running sidecar) and what to do with the findings."""

    paths: Sequence[Path] = ()
    certificates: Sequence[str] = ()
    sidecar: str = ""
    advice: bool = False
    fix: bool = False
    sarif: Path | None = None


def run(screen: Screen, request: DoctorRequest) -> Exit:
    """Examine, apply fixes if requested, and print the findings. The exit code says whether something was found."""
    try:
        looked = _look(request)
        fixed = fixes.write(looked.findings) if request.fix else []
        if fixed:
            looked = _look(request)
        if request.sarif is not None:
            request.sarif.write_text(json.dumps(sarif.report(looked.findings, RULES, Path.cwd()), indent=1) + "\n")
    except (OSError, ValueError) as fault:
        screen.note(f"{getattr(fault, 'filename', None) or ''} {getattr(fault, 'strerror', None) or fault}".strip(), "red")
        return Exit.USAGE
    _show(screen, looked, fixed)
    return Exit.FAILED if any(each.rule.level is not FindingLevel.ADVICE for each in looked.findings) else Exit.OK


@dataclass
class _Look:
    """What was examined, and what was found."""

    project: DoctorProject
    findings: list[DoctorFinding]
    ends: dict[str, list[x509.Certificate]]


def _look(request: DoctorRequest) -> _Look:
    """Read and examine. Raises OSError, ValueError."""
    sources: Sequence[str] = request.certificates
    if request.paths or sources:
        project = reading.read(request.paths, sys.stdin.read)
    else:
        project, sources = _by_settings()
    if request.sidecar:
        project.sidecar = _metadata(request.sidecar)
    ends = {each: _certificates(each) for each in sources}
    return _Look(project, [*engine.examine(project, advice=request.advice), *_ending(ends)], ends)


def _by_settings() -> tuple[DoctorProject, Sequence[str]]:
    """The files that the settings name, and the sources of certificates. Raises OSError."""
    try:
        found = settings.load({}, os.environ, Path.cwd())
    except ConfigurationError as fault:
        project = DoctorProject()
        project.unreadable += [("settings-invalid", _setting(each)) for each in fault.problems]
        return project, ()
    return reading.read([short(path) for path in _named(found)]), [str(each) for each in found.certificates]


def _named(found: Settings) -> list[Path]:
    """The existing files among those that the settings name."""
    files = [path for path in (found.catalogue, found.resiliency, found.entities) if path.parent != packaged.FOLDER]
    apps = found.functions or found.catalogue.parent
    files += [Path.cwd() / "host.json", *sorted(apps.glob("*/host.json"))]
    if found.runtime is RuntimeName.DAPR or found.with_sidecar:
        files.append(found.resources)
    return [path for path in files if path.exists()]


def _setting(problem: str) -> Hit:
    """A problem with a setting, at its line in bridge.yaml if it is written there."""
    file = Path("bridge.yaml")
    text = textfile.read(file) if file.exists() else ""
    return Hit(file, ownfiles.setting_line(text, problem), f"{problem.rstrip('.')}.", "Correct it; until then the bridge does not start.")


def _metadata(url: str) -> Mapping[str, Any]:
    """The answer of the sidecar's metadata API. Raises OSError, ValueError."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is not the address of a sidecar; write it like http://127.0.0.1:3500")
    request = urllib.request.Request(f"{url.rstrip('/')}/v1.0/metadata")  # noqa: S310 - http or https, as checked
    if token := os.environ.get("DAPR_API_TOKEN"):
        request.add_header("dapr-api-token", token)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            found = json.load(answer)
    except OSError as fault:
        raise ValueError(f"No sidecar answers at {url}: {fault}. If it requires a token, set DAPR_API_TOKEN.") from None
    return found if isinstance(found, dict) else {}


def _certificates(named: str) -> list[x509.Certificate]:
    """The certificates in a file, or the authorities of a server. Raises ValueError."""
    source = named.replace("https://", certificates.SERVER, 1)
    try:
        found = asyncio.run(certificates.of_source(source, leaves=True))
    except UnreadableCertificates as fault:
        raise ValueError(f"{fault}. --certificates takes a file in PEM, or a server such as https://host:443.") from None
    if not found:
        raise ValueError(f"{named} shows no certificate.")
    return found


def _ending(ends: Mapping[str, Sequence[x509.Certificate]]) -> list[DoctorFinding]:
    now = datetime.now(UTC)
    found = [(named, problem(each, now)) for named, listed in ends.items() for each in listed]
    return [DoctorFinding(RULES["certificate-ends"], Hit(Path(named), 1, told, RENEW)) for named, told in found if told]


def _show(screen: Screen, looked: _Look, fixed: Sequence[DoctorFinding]) -> None:
    if screen.as_json:
        ends = [(source, each) for source, listed in looked.ends.items() for each in listed]
        told = [
            {"source": source, "subject": each.subject.rfc4514_string(), "notAfter": each.not_valid_after_utc.isoformat()}
            for source, each in ends
        ]
        shown = {"findings": list(map(_json, looked.findings)), "mended": list(map(_json, fixed))}
        screen.json({**shown, "skipped": looked.project.skipped, "certificates": told})
        return
    for each in fixed:
        screen.line(f"fixed  {each.hit.file}:{each.hit.line}  {each.hit.message} {each.hit.mend}", "green")
    for each in looked.findings:
        screen.line(f"{each.hit.file}:{each.hit.line}: {each.rule.level} {each.rule.name}: {each.hit.message}", _STYLES[each.rule.level])
        screen.line(f"    why:  {each.rule.why}")
        screen.line(f"    fix:  {each.hit.mend}")
    for source, listed in looked.ends.items():
        for certificate in listed:
            screen.line(
                f"{source}: {certificate.subject.rfc4514_string()} holds until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            )
    _summary(screen, looked)


def _summary(screen: Screen, looked: _Look) -> None:
    for text in looked.project.skipped:
        screen.note(f"skipped: {text}", "yellow")
    fixable = sum(each.hit.fix is not None for each in looked.findings)
    hint = f", {fixable} of them can be fixed with --fix" if fixable else ""
    files = len({each.file for each in looked.project.documents})
    told = f"{len(looked.findings)} found{hint}" if looked.findings else "Nothing was found"
    screen.note(f"{told} in {files} file{'s' if files != 1 else ''}.")


def _json(finding: DoctorFinding) -> dict[str, Any]:
    found = finding.hit
    return {
        "rule": finding.rule.name,
        "level": str(finding.rule.level),
        "file": str(found.file),
        "line": found.line,
        "message": found.message,
        "why": finding.rule.why,
        "mend": found.mend,
        "fixable": found.fix is not None,
    }
