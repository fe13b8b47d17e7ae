from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

# The app's root, as the Functions host puts it there.
sys.path.insert(0, str(Path(__file__).parents[2] / "functions" / "python"))

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EC_KEY = ec.generate_private_key(ec.SECP256R1())

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def make_certificate(
    name: str = "db1.example",
    *,
    days: float = 90,
    since: datetime = NOW - timedelta(days=10),
    key: Key = EC_KEY,
    names: tuple[str, ...] = (),
    serial: int = 4711,
    issuer: str = "",
) -> str:
    """A PEM certificate that ends `days` after NOW."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]) if issuer else subject
    builder = x509.CertificateBuilder(signer, subject, key.public_key(), serial, since, NOW + timedelta(days=days))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM).decode()


BROKEN = "-----BEGIN CERTIFICATE-----\nTm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"


class FakeBridge(ThreadingHTTPServer):
    """The bridge's side of an invocation URL: what it heard, and what it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.heard: list[tuple[str, str, str, Any]] = []
        self.status = 200
        self.answer: Any = {"canceled": False, "deadline": "2026-03-01T12:05:00Z"}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/invocations/order-1/summarize"


class _Exchange(BaseHTTPRequestHandler):
    server: FakeBridge

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        token = self.headers["x-invocation-token"]
        self.server.heard.append((self.command, self.path, token, json.loads(body) if body else None))
        self.send_response(self.server.status)
        self.send_header("location", self.server.url)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    do_POST = do_GET  # noqa: N815 - the name http.server looks for

    def log_message(self, *_: object) -> None:
        """Keep standard error clean."""


@pytest.fixture
def bridge() -> Iterator[FakeBridge]:
    with FakeBridge() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
