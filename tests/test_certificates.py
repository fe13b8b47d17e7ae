"""When the certificates of a file, and the authorities that a server shows, end."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from bridge import certificates
from bridge.certificates import UnreadableCertificates, WatchedCertificates
from tests.dapr import authority

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority.write(tmp_path / "made", root=20 * DAY, issuer=5 * DAY)
    return tmp_path / "made"


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[str]:
    """Shows the issuer and the root, as a sidecar shows its chain."""
    chain = folder / "chain.pem"
    chain.write_bytes((folder / "issuer.crt").read_bytes() + (folder / "ca.crt").read_bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, folder / "issuer.key")
    listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with listening:
        yield f"tls://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def days(found: list[x509.Certificate]) -> dict[str, int]:
    return {each.subject.rfc4514_string(): round((each.not_valid_after_utc - datetime.now(UTC)) / DAY) for each in found}


def shown() -> dict[tuple[str, str], float]:
    return {(each.labels["source"], each.labels["certificate"]): each.value for each in next(iter(certificates.EXPIRY.collect())).samples}


async def test_every_certificate_of_a_file_counts(folder: Path) -> None:
    both = folder / "both.crt"
    both.write_bytes((folder / "ca.crt").read_bytes() + (folder / "issuer.crt").read_bytes())
    assert days(await certificates.of_source(str(both))) == {"CN=root": 20, "CN=issuer": 5}


async def test_the_authorities_that_a_server_shows_count_though_nobody_knows_them(folder: Path) -> None:
    async with server(folder) as address:
        assert days(await certificates.of_source(address)) == {"CN=root": 20, "CN=issuer": 5}


@pytest.mark.parametrize("source", ["/no/such/file", "tls://127.0.0.1:9", __file__])
async def test_what_shows_no_certificate_is_named(source: str) -> None:
    with pytest.raises(UnreadableCertificates, match=source.removeprefix("tls://")):
        await certificates.of_source(source)


async def test_a_server_that_speaks_no_tls_is_named() -> None:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        with pytest.raises(UnreadableCertificates, match="shows no certificate"):
            await certificates.of_source(f"tls://127.0.0.1:{listening.sockets[0].getsockname()[1]}")


async def test_a_server_that_never_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "_SECONDS", 0.05)
    ended = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    listening = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with listening:
        with pytest.raises(UnreadableCertificates, match=r"shows no certificate \(no answer\)"):
            await certificates.of_source(f"tls://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        ended.set()


@pytest.mark.parametrize("address", ["some-host", "some-host:443/path", ":443"])
async def test_an_address_without_host_and_port_is_named(address: str) -> None:
    with pytest.raises(UnreadableCertificates, match=f"^{address} is not HOST:PORT$"):
        await certificates.of_source(f"tls://{address}")


@pytest.mark.parametrize("address", ["a..b:443", "127.0.0.1:99999"])
async def test_an_address_that_cannot_be_one_is_named(address: str) -> None:
    with pytest.raises(UnreadableCertificates, match=f"^{address} shows no certificate"):
        await certificates.of_source(f"tls://{address}")


async def test_the_gauge_follows_a_rotation_once_a_minute(folder: Path) -> None:
    now = [0.0]
    source = str(folder / "ca.crt")
    gauge = WatchedCertificates([source], clock=lambda: now[0])
    await gauge.refresh()
    before = shown()[source, "CN=root"]
    authority.write(folder.parent / "later", root=400 * DAY, issuer=5 * DAY)
    (folder.parent / "later" / "ca.crt").replace(folder / "ca.crt")
    await gauge.refresh()
    assert shown()[source, "CN=root"] == before
    now[0] = 61.0
    await gauge.refresh()
    assert shown()[source, "CN=root"] > before + 300 * DAY.total_seconds()


async def test_from_the_last_day_on_a_sentence_says_what_ends_and_sources_are_read_every_five_seconds(folder: Path) -> None:
    now = [0.0]
    source = str(folder / "issuer.crt")
    watched = WatchedCertificates([source], clock=lambda: now[0])
    await watched.refresh()
    end, at = authority.end(folder / "issuer.crt"), "%Y-%m-%d %H:%M:%S UTC"
    assert watched.ending(end - 2 * DAY) == []
    assert watched.ending(end - DAY / 2)[0].startswith(f"the certificate CN=issuer of {source} ends at {end:{at}}: ")
    assert watched.ending(end)[0].startswith(f"the certificate CN=issuer of {source} ended at {end:{at}}: ")
    for life, after in ((-DAY, 61.0), (400 * DAY, 67.0)):
        authority.write(folder.parent / str(after), root=DAY, issuer=life)
        (folder.parent / str(after) / "issuer.crt").replace(folder / "issuer.crt")
        now[0] = after
        await watched.refresh()
        assert bool(watched.ending(datetime.now(UTC))) == (life < DAY)


async def test_of_two_with_one_name_the_first_end_counts(folder: Path) -> None:
    authority.write(folder.parent / "later", root=400 * DAY, issuer=5 * DAY)
    both = folder / "both.crt"
    watched = WatchedCertificates([str(both)], clock=lambda: 0.0)
    both.write_bytes((folder / "ca.crt").read_bytes() + (folder.parent / "later" / "ca.crt").read_bytes())
    await watched.refresh()
    assert shown()[str(both), "CN=root"] == authority.end(folder / "ca.crt").timestamp()


async def test_what_cannot_be_read_any_more_has_no_value_and_one_log_line(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    source = str(folder / "ca.crt")
    gauge = WatchedCertificates([source], clock=lambda: now[0])
    await gauge.refresh()
    (folder / "ca.crt").unlink()
    with caplog.at_level(logging.WARNING):
        for now[0] in (61.0, 122.0):
            await gauge.refresh()
    assert [source in each.getMessage() for each in caplog.records] == [True]
    assert (source, "CN=root") not in shown()
