"""A Redis with a password and TLS, with the lines of the shipped components that stand there as comments."""

from __future__ import annotations

import asyncio
import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.ports import Ack, Delivery, Message
from tests.dapr.machine import Machine
from tests.dapr.resources import uncommented
from tests.dapr.sidecar import answers, program, redis_server, sidecar

PASSWORD = "the-password-of-redis"
TOPIC, SOURCE = "automation-requests", "automation-requests/bridge"


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = (directory / "redis.crt", directory / "redis.key")
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files


async def test_events_and_runs_are_kept_in_a_redis_with_a_password_and_tls(machine: Machine, tmp_path: Path) -> None:
    crt, key = certificate(tmp_path)
    for path in (machine.components / "bus.yaml", machine.components / "store.yaml"):
        path.write_text(yaml.safe_dump_all(uncommented(path)))
    settings = f"--port 0 --tls-port {machine.redis_port} --tls-auth-clients no --requirepass {PASSWORD} --bind 127.0.0.1".split()
    settings += ["--tls-cert-file", str(crt), "--tls-key-file", str(key), "--tls-ca-cert-file", str(crt), "--dir", str(tmp_path)]
    environ = {"REDIS_HOST": f"127.0.0.1:{machine.redis_port}", "REDIS_PASSWORD": PASSWORD, "SSL_CERT_FILE": str(crt)}
    came: asyncio.Queue[Delivery] = asyncio.Queue()

    async def take(delivery: Delivery) -> Ack:
        came.put_nowait(delivery)
        return Ack.DONE

    async with program(redis_server(), *settings, log=tmp_path / "redis.log") as storing:
        await answers(machine.redis_port, storing)
        started = sidecar(tmp_path, machine.components, environ, machine.app_port, machine.port)
        async with started as beside, machine.adapter(beside.connection) as dapr:
            await dapr.bus.subscribe(SOURCE, take, concurrency=1)
            await dapr.store.create("key", b"1")
            await dapr.bus.publish([Message(TOPIC, b"event", "m-1")])
            found = await dapr.store.get("key")
            assert found is not None
            assert found.value == b"1"
            assert (await asyncio.wait_for(came.get(), 20)).message.body == b"event"
    assert PASSWORD not in beside.program.log.read_text()
