"""Real input from this machine for the sample automations."""

from __future__ import annotations

import csv
import importlib
import io
import itertools
import json
import os
import re
import ssl
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

BUNDLE_BYTES = 900_000  #: of JSON, below the 1 MiB a request may have
ROWS = 4_000
PAUSE = 120  #: milliseconds before each 250 rows, so that there is progress to see; about 2 s in all
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----\n", re.DOTALL)


class NoTrustStore(Exception):
    """This machine has no file of trusted certificates."""


@dataclass(frozen=True)
class Question:
    """One request of the demo. With `event` it is sent as a CloudEvent."""

    title: str
    automation: str
    correlation_id: str
    value: Mapping[str, Any]
    event: bool = False

    def as_event(self) -> dict[str, Any]:
        """The request as a CloudEvent."""
        return {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": "/demo",
            "type": "automation.requested",
            "subject": self.automation,
            "correlationid": self.correlation_id,
            "data": self.value,
        }


def questions(*, with_powershell: bool = False) -> list[Question]:
    """The requests: three certificates, one table, the whole trust store as an event, and the PowerShell samples. Raises NoTrustStore."""
    certificates = trusted()
    chosen = [certificates[0], certificates[len(certificates) // 2], certificates[-1]]
    single = [
        Question(f"certificate {number} of 3", "certificate.inspect", f"demo-certificate-{number}", {"pem": pem})
        for number, pem in enumerate(chosen, 1)
    ]
    table = Question("files of this Python", "table.summarize", "demo-table", {"csv": files_csv(), "pause": PAUSE})
    store = {"bundle": "".join(_fitting(certificates))}
    fleet = Question("the trust store, by event", "fleet.certificates", "demo-fleet", store, event=True)
    return [*single, table, *(_for_powershell() if with_powershell else ()), fleet]


def _for_powershell() -> Iterator[Question]:
    log = "GET https://ada:hunter2@vault.example/v1 200\nauthorization: Bearer c2FtcGxlLXRva2Vu\napi_key = 0123456789abcdef\n"
    yield Question("this machine, by PowerShell", "host.inventory", "demo-host", {"top": 3})
    yield Question("a log with secrets in it", "text.redact", "demo-text", {"text": log})
    yield Question("this machine from two sides", "fleet.inventory", "demo-inventory", {"top": 1})


def trusted() -> list[str]:
    """The certificates that this machine trusts, in PEM. Raises NoTrustStore."""
    for path in _stores():
        found = _CERTIFICATE.findall(path.read_text("utf-8", errors="replace")) if path.is_file() else []
        if found:
            return found
    raise NoTrustStore("This machine has no file of trusted certificates. Install ca-certificates, or `pip install certifi`.")


def _stores() -> Iterator[Path]:
    default = ssl.get_default_verify_paths()
    yield from (Path(name) for name in (default.cafile, default.openssl_cafile) if name)
    yield Path("/etc/ssl/certs/ca-certificates.crt")
    try:
        yield Path(importlib.import_module("certifi").where())
    except ImportError:
        return


def _fitting(certificates: list[str]) -> Iterator[str]:
    size = 0
    for pem in certificates:
        size += len(json.dumps(pem))
        if size > BUNDLE_BYTES:
            return
        yield pem


def files_csv() -> str:
    """The files of this Python's standard library as CSV: folder, kind, bytes, and date of the last change."""
    root = Path(sysconfig.get_path("stdlib"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("folder", "file", "kind", "bytes", "changed"))
    for path in itertools.islice(_files(root), ROWS):
        facts = path.stat()
        day = datetime.fromtimestamp(facts.st_mtime, UTC).date().isoformat()
        writer.writerow((path.parent.relative_to(root), path.name, path.suffix or "none", facts.st_size, day))
    return text.getvalue()


def _files(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name not in ("site-packages", "__pycache__"))
        yield from (Path(folder, name) for name in sorted(names))
