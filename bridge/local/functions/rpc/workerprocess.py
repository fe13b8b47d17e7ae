"""Starts the program of a worker that speaks Azure's protocol."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import uuid

from bridge.local import keeper
from bridge.local.functions.httpserver import HOST
from bridge.local.functions.worker import WorkerProgram


async def start(program: WorkerProgram, port: int, worker_id: str) -> asyncio.subprocess.Process:
    """Start the program with the command line that workers of every age read. Raises OSError."""
    request_id, longest = str(uuid.uuid4()), "2147483647"
    old = ["--host", HOST, "--port", str(port), "--workerId", worker_id, "--requestId", request_id, "--grpcMaxMessageLength", longest]
    new = {"uri": f"http://{HOST}:{port}/", "worker-id": worker_id, "request-id": request_id, "grpc-max-message-length": longest}
    return await asyncio.create_subprocess_exec(
        *program.command,
        *old,
        *(text for name, value in new.items() for text in (f"--functions-{name}", value)),
        cwd=program.folder,
        env=dict(program.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=keeper.ending_with(os.getpid(), signal.SIGKILL),  # it does not outlive a host that is killed
    )
