"""Ports for programs that take a number and do not tell which one the system gave them."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

LOWEST, HIGHEST = 10_240, 32_767  #: no system in use gives these out by itself, unless it was told to
_GIVEN_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")  # Linux: the lowest and the highest it does


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago, all different.

    Not of those that the system gives to whoever asks for any: while a program is away, another one would get its port, and answer there.
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
            found.append(one.getsockname()[1])
        if len(found) < count:
            raise OSError(f"There are no {count} free ports on 127.0.0.1.")
        return found


def _candidates() -> Iterator[int]:
    """In any order; where the system gives out nearly all ports itself, what it gives out."""
    highest = min(HIGHEST, _lowest_given_out() - 1)
    if highest - LOWEST < 1000:
        yield from [0] * 1000
    else:
        yield from random.sample(range(LOWEST, highest + 1), highest - LOWEST)


def _lowest_given_out() -> int:
    try:
        return int(_GIVEN_OUT.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return HIGHEST + 1
