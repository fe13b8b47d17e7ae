"""Builds what the Dockerfile builds, starts it as its user with nothing writable but its data, and asks its health check."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bridge.local.freeports import free_ports
from tests import namespaces
from tests.image import dockerfile
from tests.image.dockerfile import Instruction
from tests.sharedtools import CHECKOUT

PYTHON = Path("/srv")  #: where the base has its Python: a home may be closed to the user of the image
_PATIENCE = 60  #: seconds until the bridge must be ready


class Image:
    """The state that instructions change: folder, environment and user."""

    def __init__(self) -> None:
        self.folder = Path("/")
        # A Python that was built into a home finds its library there by name, if it may look.
        self.environ = {"PATH": f"{PYTHON}/bin:/usr/local/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": f"{PYTHON}/lib"}
        self.user = self.group = 0

    def follow(self, instruction: Instruction) -> None:
        """Do what an instruction says; what only describes the image does nothing."""
        if instruction.name == "WORKDIR":
            self.folder = Path(instruction.rest)
            self.folder.mkdir(parents=True, exist_ok=True)
        elif instruction.name == "COPY" and not instruction.rest.startswith("--from"):
            self._copy(*instruction.rest.split())
        elif instruction.name == "RUN":
            print(f"RUN {instruction.rest}", flush=True)  # noqa: T201
            outside = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HTTP", "SSL_"))}
            subprocess.run(["sh", "-euc", instruction.rest], cwd=self.folder, env={**outside, **self.environ}, check=True)
        elif instruction.name == "ENV":
            for name, _, value in (pair.partition("=") for pair in shlex.split(instruction.rest)):
                self.environ[name] = value.replace("$PATH", self.environ["PATH"])
        elif instruction.name == "USER":
            self.user, self.group = (int(each) for each in instruction.rest.split(":"))

    def _copy(self, *words: str) -> None:
        *sources, last = words
        for each in sources:
            target = self.folder / last / (Path(each).name if last.endswith("/") else "")
            target.parent.mkdir(parents=True, exist_ok=True)
            if (CHECKOUT / each).is_dir():
                shutil.copytree(CHECKOUT / each, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(CHECKOUT / each, target)

    def start(self, words: list[str], **environ: str) -> subprocess.Popen[bytes]:
        """A command of the image, as its user, without a home."""
        told = {**self.environ, **environ}
        program = shutil.which(words[0], path=told["PATH"]) or words[0]
        return subprocess.Popen([program, *words[1:]], cwd=self.folder, env=told, user=self.user, group=self.group, extra_groups=[])


def main() -> int:
    """Do it; the exit code."""
    namespaces.leave(namespaces.MOUNTS)
    with tempfile.TemporaryDirectory() as place:
        for name, target in (("opt", Path("/opt")), ("lib", Path("/var/lib"))):
            Path(place, name).mkdir()
            namespaces.bind(Path(place, name), target)
        Path(place).chmod(0o755)
        namespaces.bind(Path(sys.base_prefix), PYTHON)
        code = _built_and_started()
        subprocess.run(["umount", "/opt", "/var/lib"], check=True)
    return code


def _built_and_started() -> int:
    build, final = dockerfile.stages()
    image = Image()
    for each in build:
        image.follow(each)
    image = Image()
    shutil.rmtree("/opt/source")  # of the first stage only /opt/bridge comes into the image
    for each in final:
        image.follow(each)
    subprocess.run(["mount", "-o", "remount,bind,ro", "/opt"], check=True)
    commands = {each.name: each.words for each in final if each.name in ("ENTRYPOINT", "CMD", "HEALTHCHECK")}
    port = str(free_ports(1)[0])
    bridge = image.start([*commands["ENTRYPOINT"], *commands["CMD"]], BRIDGE_PORT=port)
    try:
        until = time.monotonic() + _PATIENCE
        while (unhealthy := image.start(commands["HEALTHCHECK"], BRIDGE_PORT=port).wait()) and time.monotonic() < until:
            if bridge.poll() is not None:
                break
            time.sleep(1)
    finally:
        bridge.terminate()
        ended = bridge.wait(30)
    subprocess.run(["mount", "-o", "remount,bind,rw", "/opt"], check=True)
    print(f"The health check ended with {unhealthy}, and the bridge, told to stop, with {ended}.")  # noqa: T201
    return 1 if unhealthy or ended else 0


if __name__ == "__main__":
    sys.exit(main())
