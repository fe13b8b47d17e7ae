from __future__ import annotations

import socket
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from bridge.adapters.embedded import selfsigned
from bridge.adapters.embedded.selfsigned import server_context


def names(certificate: Path) -> list[str]:
    found = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in found.value]


def test_a_certificate_is_made_once_and_kept(tmp_path: Path) -> None:
    context, certificate = server_context(tmp_path, "127.0.0.1")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert names(certificate) == ["localhost", "127.0.0.1"]
    assert stat.S_IMODE((tmp_path / "servicebus-key.pem").stat().st_mode) == 0o600
    before = certificate.read_bytes()
    server_context(tmp_path, "127.0.0.1")
    assert certificate.read_bytes() == before


def test_another_host_needs_another_certificate(tmp_path: Path) -> None:
    _, certificate = server_context(tmp_path, "127.0.0.1")
    server_context(tmp_path, "192.0.2.1")
    assert names(certificate)[-1] == "192.0.2.1"
    server_context(tmp_path, "bus.example.org")
    assert names(certificate)[-1] == "bus.example.org"
    server_context(tmp_path, "0.0.0.0")  # noqa: S104 - the name in the certificate
    assert socket.gethostname() in names(certificate)


@pytest.mark.parametrize("broken", ["servicebus.pem", "servicebus-key.pem"])
def test_a_file_that_is_gone_or_spoilt_is_made_anew(tmp_path: Path, broken: str) -> None:
    server_context(tmp_path, "127.0.0.1")
    (tmp_path / broken).unlink()
    server_context(tmp_path, "127.0.0.1")
    (tmp_path / "servicebus.pem").write_text("spoilt")
    server_context(tmp_path, "127.0.0.1")


def test_a_certificate_that_ends_soon_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, certificate = server_context(tmp_path, "127.0.0.1")
    before = certificate.read_bytes()
    monkeypatch.setattr(selfsigned, "_LEFT", selfsigned._LIFE * 2)
    server_context(tmp_path, "127.0.0.1")
    assert certificate.read_bytes() != before
