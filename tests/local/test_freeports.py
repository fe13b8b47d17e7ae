from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from bridge.local import freeports
from bridge.local.freeports import free_ports


def test_the_ports_are_free_and_no_two_are_the_same():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))


def test_none_is_of_those_that_the_system_gives_to_anybody(monkeypatch, tmp_path):
    (tmp_path / "range").write_text("20000\t60999\n")
    monkeypatch.setattr(freeports, "_EPHEMERAL", tmp_path / "range")
    assert all(freeports.LOWEST <= port < 20_000 for port in free_ports(50))


def test_nobody_gets_a_port_again_soon():
    first = free_ports(100)
    code = "from bridge.local.freeports import free_ports; print(*free_ports(500))"
    others = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(map(str, first)) & set(others)


def test_a_port_is_free_again_after_its_time(monkeypatch):
    port = free_ports(1)[0]
    monkeypatch.setattr(freeports, "_candidates", lambda: iter([port]))
    with pytest.raises(OSError, match="no 1 free ports"):
        free_ports(1)
    monkeypatch.setattr(freeports, "RESERVED_SECONDS", -1.0)
    assert free_ports(1) == [port]


def test_where_the_system_gives_out_nearly_all_ports_its_own_are_taken(monkeypatch, tmp_path):
    (tmp_path / "range").write_text("1024\t65535\n")
    monkeypatch.setattr(freeports, "_EPHEMERAL", tmp_path / "range")
    assert len(set(free_ports(5))) == 5


def test_too_many_are_refused(monkeypatch):
    monkeypatch.setattr(freeports, "_candidates", lambda: iter([0, 0]))
    with pytest.raises(OSError, match="no 3 free ports"):
        free_ports(3)
