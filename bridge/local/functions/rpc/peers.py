"""Which user a connection on the loopback interface comes from, as Linux tells it in `/proc/net/tcp` and `tcp6` (proc(5))."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_MAPPED = "0000000000000000FFFF0000"  #: before an IPv4 address that a socket for both families has
_LOCAL, _REMOTE, _USER = 1, 2, 7  #: columns


def is_own(host: str, number: int, port: int) -> bool:
    """Whether the process at the other end belongs to the user of this one.

    `host` (IPv4) and `number` are its address and port, `port` our own. Systems without the table are not asked.
    """
    if sys.platform != "linux":
        return True
    wanted = (_written(host, number), _written("127.0.0.1", port))
    for table in _TABLES:
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            columns = line.split()
            if tuple(columns[each].removeprefix(_MAPPED) for each in (_LOCAL, _REMOTE)) == wanted:
                return int(columns[_USER]) == os.getuid()
    return False


def _written(host: str, port: int) -> str:
    """An address as the table has it: in hexadecimal, in the byte order of the machine."""
    (number,) = struct.unpack("=I", socket.inet_aton(host))
    return f"{number:08X}:{port:04X}"
