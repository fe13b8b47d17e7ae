"""`python -m tests.fuzz [PART]... [--seconds N]`: fuzzes longer than the tests do. Exit code 1 if anything was found.

api: schemathesis against the bridge's own description, without and with tokens. events: hypothesis, on topics and over HTTP. parsers:
atheris, led by coverage, each parser for its share of the time; inputs that break one are kept in .cache/fuzz. servicebus: hostile clients
over AMQP.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import random
import re
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.acceptance.bridge_process import ROOT
from tests.acceptance.namespace_process import NamespaceProcess
from tests.fuzz.api import ask, subject, wrong_inside
from tests.fuzz.hostile import DIALOGUES, Hostile, a_dialogue_with_bytes_changed
from tests.fuzz.memory import Memory, watched
from tests.fuzz.parsers import PARSERS

ENTITIES = ROOT / "tests" / "adapters" / "embedded" / "amqp" / "entities.json"
FOUND = ROOT / ".cache" / "fuzz"
EXAMPLES = 50  #: of each operation in each phase of one round; rounds go on until the time is over
GROWTH = 16  #: megabytes a parser's process may grow after it has read the seeds: what atheris has learnt is in it
_PEAKS = re.compile(r"(?:INITED|DONE) .* rss: (\d+)Mb")
_RUNS = re.compile(r"^Done (\d+) runs", re.MULTILINE)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def api(seconds: int) -> bool:
    """Whether nothing was found."""
    return all([await _api(seconds // 2, tokens=tokens) for tokens in (False, True)])


async def _api(seconds: int, *, tokens: bool) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        async with subject(Path(folder), tokens=tokens) as bridge:
            assert bridge.bridge.process is not None
            async with watched(bridge.bridge.process.pid) as memory:
                found, said = await ask(bridge, EXAMPLES, "--max-time", str(seconds))
            wrong = await wrong_inside(bridge)
    if found or wrong:
        say("\n".join([said, *wrong]))
    cases = re.search(r"(\d+) generated", said)
    with_tokens = "with" if tokens else "without"
    say(f"api {with_tokens} tokens: {cases[1] if cases else 'no'} requests, {_verdict(not (found or wrong))}, {memory}")
    return not (found or wrong)


async def events(_seconds: int) -> bool:
    """Whether nothing was found. Takes as long as its examples take."""
    code, said = await _run("-m", "pytest", "--hypothesis-profile=fuzz", "tests/fuzz/test_events.py", "tests/fuzz/test_parsers.py")
    if code:
        say(said)
    say(f"events: {_verdict(code == 0)}")
    return code == 0


async def parsers(seconds: int) -> bool:
    """Whether nothing was found."""
    if importlib.util.find_spec("atheris") is None:
        say("parsers: skipped; atheris has no build for this machine (it has some for Linux on x86-64)")
        return True
    shutil.rmtree(FOUND, ignore_errors=True)
    return all([await _parser(name, max(seconds // len(PARSERS), 1)) for name in PARSERS])


async def _parser(name: str, seconds: int) -> bool:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fuzz.guided", name, str(seconds), str(FOUND / name)), stdout=PIPE, stderr=STDOUT, cwd=ROOT
    )
    said = (await process.communicate())[0].decode(errors="replace")
    runs, peaks = _RUNS.search(said), [int(peak) for peak in _PEAKS.findall(said)]
    grew = peaks[-1] - peaks[0] if peaks else 0
    clean = process.returncode == 0 and runs is not None and bool(peaks) and grew <= GROWTH
    if not clean:
        say(said[-5_000:])
    shown = f"{int(runs[1]) if runs else 0:,} inputs, {_verdict(clean)}, {grew} MB more memory at the end than after the seeds"
    say(f"parser {name}: {shown}")
    return clean


async def _run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE, stderr=STDOUT, cwd=ROOT)
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


def _verdict(clean: bool) -> str:
    return "nothing found" if clean else "FOUND SOMETHING"


async def servicebus(seconds: int) -> bool:
    """Whether nothing was found: hostile clients of `bridge local servicebus`, then dialogues with bytes changed until the time is over."""
    code, said = await _run("-m", "pytest", "-n", "0", "tests/fuzz/test_hostile.py", "tests/adapters/embedded/amqp/test_fuzz.py")
    if code:
        say(said)
    with tempfile.TemporaryDirectory() as folder:
        changed, memory = await _dialogues(Path(folder), seconds)
    clean = code == 0 and memory.last - memory.warm <= GROWTH
    say(f"servicebus: {changed:,} dialogues with bytes changed, {_verdict(clean)}, {memory}")
    return clean


async def _dialogues(folder: Path, seconds: int) -> tuple[int, Memory]:
    async with NamespaceProcess(folder, ENTITIES) as namespace:
        assert namespace.process is not None
        broker = Hostile(
            namespace.port, namespace.connection_string.split("SharedAccessKey=")[1].split(";")[0], seed=random.randrange(2**32)
        )
        async with watched(namespace.process.pid) as memory:
            rounds, end = 0, time.monotonic() + seconds
            while time.monotonic() < end:
                await asyncio.to_thread(a_dialogue_with_bytes_changed, broker)
                rounds += 1
        assert namespace.process.returncode is None, "the broker ended"
    return rounds * DIALOGUES, memory


PARTS: dict[str, Callable[[int], Awaitable[bool]]] = {"parsers": parsers, "events": events, "servicebus": servicebus, "api": api}


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them unless named")
    parser.add_argument("--seconds", type=int, default=60, help="for the parsers together, and for the API (default 60)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))} is none of {', '.join(PARTS)}")
    clean = [await PARTS[part](arguments.seconds) for part in arguments.parts or PARTS]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
