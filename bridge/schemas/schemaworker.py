"""Judges inputs in a process of its own, which may be ended when one takes too long. It imports nothing of the bridge, to start fast.

Each message is four bytes of length (big-endian) and MessagePack. An empty one says that the process is ready for the next question:
`[name, schema or None, input, most, seconds, seconds for words]`. Schema and input are JSON, the schema may be left out once it was sent
under that name, and `most` is how many violations are wanted. The seconds are processor time, after which this process ends, so that a
judgement does not depend on what else the machine does. The answers are `{"fits": bool}` and then, for an input that does not fit, a list
of violations once or twice: the first one alone, which is often found quickly, and as many as are wanted.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import jsonschema_rs
import msgspec
from pydantic_core import from_json

MEMORY = 2**29  #: bytes of address space; an error may cost a thousand times the value that is in error
KEPT = 128 * 2**20  #: bytes of memory; a process that has more after a question ends instead of keeping them
LONGEST = 30.0  #: seconds after which the process ends by itself, should nobody be left to end it


def validator(schema: Mapping[str, Any], patterns: jsonschema_rs.RegexOptions | None = None) -> jsonschema_rs.Draft202012Validator:
    """Compile a schema. Nothing is fetched. Messages contain no values, because a refused input may have a secret in the wrong field.

    `patterns` are the options of a regular expression engine without backtracking; a schema that needs backtracking is refused with them.
    Raises jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError.
    """
    options: dict[str, Any] = {} if patterns is None else {"pattern_options": patterns}
    return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, offline=True, mask="the value", **options)


def violation(error: jsonschema_rs.ValidationError) -> dict[str, str]:
    """An error of the library: the place (JSON pointer, RFC 6901), the rule that it broke, and what it is in words."""
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in error.instance_path)
    named = len(error.schema_path) > 1 and error.schema_path[-2] in ("properties", "patternProperties")
    # For a property that is not allowed the last step is its name, and the schema there is `false`.
    return {"pointer": pointer, "rule": "false" if named else str(error.schema_path[-1]), "detail": error.message[:500]}


def violations(compiled: jsonschema_rs.Draft202012Validator, value: Any, most: int) -> list[dict[str, str]]:
    """The first `most` violations. Takes time and memory for all of them, which may be exponential in the size of the value."""
    return [violation(error) for error, _ in zip(compiled.iter_errors(value), range(most), strict=False)]


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    known: dict[str, jsonschema_rs.Draft202012Validator] = {}
    _send(answers, b"")
    while len(head := questions.read(4)) == 4:
        name, schema, value, most, seconds, words_seconds = msgspec.msgpack.decode(questions.read(int.from_bytes(head, "big")))
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        _allow(seconds)
        if schema is not None:
            known[name] = validator(from_json(schema))
        _judge(known[name], from_json(value), most, words_seconds, answers)
        _allow(0)
        faulthandler.cancel_dump_traceback_later()
        if _memory() > KEPT:
            return
        _send(answers, b"")


def _judge(compiled: jsonschema_rs.Draft202012Validator, value: Any, most: int, words_seconds: float, answers: BinaryIO) -> None:
    fits = compiled.is_valid(value)
    _send(answers, msgspec.msgpack.encode({"fits": fits}))
    if not fits:
        _allow(words_seconds)
        try:
            compiled.validate(value)
        except jsonschema_rs.ValidationError as error:
            _send(answers, msgspec.msgpack.encode([violation(error)]))
        _send(answers, msgspec.msgpack.encode(violations(compiled, value, most)))


def _allow(seconds: float) -> None:
    """End this process when it has used so many seconds of the processor from now on; 0 for no end. Only the clock counts on Windows."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _send(answers: BinaryIO, message: bytes) -> None:
    answers.write(len(message).to_bytes(4, "big") + message)
    answers.flush()


def _memory() -> int:
    """The bytes of memory that this process has now; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError, ValueError):
        return 0


def _bounded() -> None:
    """Give this process less memory and a lower priority than the bridge, where the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - not on Windows

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory ends all the same, this process ends and not the bridge
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)


if __name__ == "__main__":
    _bounded()
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        _serve(sys.stdin.buffer, sys.stdout.buffer)
