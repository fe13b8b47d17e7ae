"""The Bicep compiler, as a process that expands parameter files without a network. Nothing is sent to Azure."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from tests import sharedtools

Json = dict[str, Any]
AZURE = sharedtools.CHECKOUT / "deploy" / "azure"
VARIABLE = "BRIDGE_BICEP"
SECONDS = 180  #: that one answer may take on a busy machine
ZEROS = "00000000-0000-0000-0000-000000000000"
#: Where the deployment would be; without it names that are made of it stay unresolved.
PLACE = {"tenantId": ZEROS, "subscriptionId": ZEROS, "resourceGroup": "bridge", "location": "westeurope", "deploymentName": "main"}


class Refused(Exception):
    """The compiler or Azure's own engine does not take the template with these parameters; the text says why."""


def program() -> str:
    """The compiler. Skips where it is missing; where all tools are promised, fails."""
    folder = sharedtools.find("bicep")
    named = os.environ.get(VARIABLE) or (str(folder / "bicep") if folder is not None else None)
    if named is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"there is no Bicep CLI; name it in {VARIABLE}")
    return str(named)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the compiler, to its end."""
    return subprocess.run([program(), *arguments], cwd=AZURE, capture_output=True, text=True, timeout=SECONDS, check=False)


class Bicep:
    """Answers over JSON-RPC, so that the compiler and Azure's types are loaded once."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._ids = itertools.count(1)

    def expand(self, parameters: Path) -> Json:
        """Everything that a deployment with this parameter file would make: `predictedResources` and `outputs`. Raises Refused."""
        try:
            answer = self._ask("bicep/getSnapshot", {"path": str(parameters), "metadata": PLACE, "externalInputs": None})
        except Refused as refused:
            raise Refused(self._diagnostics(parameters) or str(refused)) from None
        expanded: Json = json.loads(answer["snapshot"])
        return expanded

    def formatted(self, file: Path) -> str:
        """The text of a file as the compiler formats it."""
        return str(self._ask("bicep/format", {"path": str(file)})["contents"])

    def _diagnostics(self, parameters: Path) -> str:
        """What the compiler itself refuses; nothing where Azure's engine does."""
        compiled = self._ask("bicep/compileParams", {"path": str(parameters), "parameterOverrides": {}})
        return " ".join(each["message"] for each in compiled["diagnostics"])

    def _ask(self, method: str, parameters: Json) -> Json:
        number = next(self._ids)
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()
        answer = self._answer()
        while answer.get("id") != number:
            answer = self._answer()
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        result: Json = answer["result"]
        return result

    def _answer(self) -> Json:
        assert self._process.stdout is not None
        silent = Timer(SECONDS, self._process.kill)
        silent.start()
        try:
            length = 0
            while (line := self._process.stdout.readline().strip()) or not length:
                assert self._process.poll() is None, f"the compiler ended, or did not answer in {SECONDS} s"
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            read: Json = json.loads(self._process.stdout.read(length))
            return read
        finally:
            silent.cancel()


@contextmanager
def running() -> Iterator[Bicep]:
    """The compiler, until the end of the block."""
    with subprocess.Popen(
        [program(), "jsonrpc", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield Bicep(process)
        finally:
            process.kill()
