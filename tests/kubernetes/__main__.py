"""Runs the tests of this folder with a network and host names of their own: some of these programs listen on all addresses."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
import tempfile
from pathlib import Path

import pytest

from tests import namespaces
from tests.kubernetes import cluster
from tools.helm import binaries as helm
from tools.kubernetes import binaries

HOSTS = f"127.0.0.1 localhost {cluster.INJECTOR}\n"
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  #: of network interfaces, netdevice(7)


def apart() -> None:
    """Give this process a network with nothing but loopback, and its own /etc/hosts. Ends it where the system does not allow that."""
    namespaces.leave(namespaces.MOUNTS | namespaces.NETWORK)
    with socket.socket() as any_socket:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _GET_FLAGS, asked))[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))
    with tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts:
        hosts.write(HOSTS)
        hosts.flush()
        namespaces.bind(Path(hosts.name), Path("/etc/hosts"))


def main() -> int:
    """Build what is missing, then run the tests; the exit code."""
    if binaries.main() or helm.main():
        return 1
    apart()
    os.environ[cluster.APART] = "1"
    return int(pytest.main([str(Path(__file__).parent), *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
