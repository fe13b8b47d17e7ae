"""Free ports for programs that must be given a number, because they do not report the port that the system would choose."""

from __future__ import annotations

import os
import random
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

LOWEST, HIGHEST = 10_240, 32_767  #: no system in use serves ports from this range by itself, unless it was configured to
RESERVED_SECONDS = 600.0  #: for so long nobody else of this user gets a port again: it may not listen yet, or be restarting
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")  # on Linux: the lowest and the highest port of the system's own range


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago, all different.

    They lie outside the range from which the system serves programs that ask for any port, and each is reserved for ten minutes among
    the processes of this user. Another program could otherwise get the port before this one listens, or while it restarts.
    Raises OSError if there are not as many.
    """
    with ExitStack() as stack:
        found: list[int] = []
        for port in _candidates():
            if len(found) == count:
                break
            one = stack.enter_context(socket.socket())
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port == 0 or _reserve(port):
                found.append(one.getsockname()[1])
        if len(found) < count:
            raise OSError(f"There are no {count} free ports on 127.0.0.1.")
        return found


def _candidates() -> Iterator[int]:
    """Ports in random order. Where the system's own range covers nearly all ports, the system chooses (port 0)."""
    highest = min(HIGHEST, _lowest_ephemeral() - 1)
    if highest - LOWEST < 1000:
        yield from [0] * 1000
    else:
        yield from random.sample(range(LOWEST, highest + 1), highest - LOWEST)


def _reserve(port: int) -> bool:
    """Whether the port is now reserved for the caller: nobody else reserved it within the last ten minutes."""
    folder = Path(tempfile.gettempdir()) / f"automation-bridge-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / str(port)
    try:
        if time.time() - file.stat().st_mtime > RESERVED_SECONDS:
            file.unlink()
    except FileNotFoundError:
        pass
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _lowest_ephemeral() -> int:
    try:
        return int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return HIGHEST + 1
