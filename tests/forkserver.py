"""A process that has imported all of the bridge and becomes, in forks of itself, the programs that tests ask for.

Of the CPU time that `bridge up` takes until it serves, nine tenths are imports: on two cores that was most of the time of all tests.
What runs in a fork is the whole program from its first line, with arguments, environment and standard files of its own.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bridge

LARGEST = 2**18  #: bytes of an order; arguments and environment of a program are in it


@dataclass
class Order:
    """A program to become: `python -m module arguments…`."""

    module: str
    arguments: list[str]
    environment: Mapping[str, str]
    stdout: int
    stderr: int

    def run(self) -> None:
        """Be that program until its end."""
        os.environ.clear()
        os.environ.update(self.environment)
        for file, number in ((self.stdout, 1), (self.stderr, 2)):
            os.dup2(file, number)
            os.close(file)
        sys.argv = [self.module, *self.arguments]
        runpy.run_module(self.module, run_name="__main__", alter_sys=True)


def serve(orders: socket.socket) -> Order | None:
    """Fork for each order and tell the exit codes that are asked for. Returns the order in a fork; None once nobody is left to order."""
    while True:
        message, files, _, _ = socket.recv_fds(orders, LARGEST, 2)
        if not message:
            return None
        asked: dict[str, Any] = json.loads(message)
        if "ended" in asked:
            _, status = os.waitpid(asked["ended"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                orders.close()
                return Order(**asked, stdout=files[0], stderr=files[1])
            for file in files:
                os.close(file)
        orders.send(json.dumps(answer).encode())


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the tests that started it
    for module in pkgutil.walk_packages(bridge.__path__, "bridge."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.freeze()  # what is there now is the same in every fork, and no fork need look through it
    order = serve(socket.socket(fileno=int(sys.argv[1])))
    if order is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        order.run()


if __name__ == "__main__":
    main()
