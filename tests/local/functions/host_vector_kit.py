"""Apps of recorded vectors run by one functions host, and what is seen of each over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import dotnet_kit
from .host_process import end_process, start_process, wait_for_apps

Json = dict[str, Any]

MASTER = "master-key-of-the-vectors"
_HIDDEN = frozenset({"date", "server", "content-length", "transfer-encoding", "connection"})
_GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_VERSION = re.compile(r"\b4\.\d{4}\.\d+(\.\d+)?\b")
_SECONDS = 30.0  #: that a request without a time of its own may take


@dataclass
class RecordedHost:
    """A functions host with the apps of some vectors, each in a folder of its own."""

    folder: Path
    entries: Mapping[str, Json]
    names: Mapping[str, str]  #: the app in the vectors by the name of its folder
    lines: list[str] = field(default_factory=list)

    def app(self, vectors_app: str) -> RecordedApp:
        name = self.names[vectors_app]
        port = int(self.entries[f"{name}-functions"]["url"].rpartition(":")[2])
        return RecordedApp(self, name, port)

    @property
    def log(self) -> str:
        return (self.folder / "host.log").read_text(errors="replace")


@dataclass
class RecordedApp:
    """One app of the vectors."""

    host: RecordedHost
    name: str
    port: int

    async def send(self, request: Json) -> Json:
        """What the host answers: `{status, headers, body: bytes}`, or `{connection}`, or `{noAnswer}`."""
        data = _request_bytes(request, self.port)
        try:
            seconds = request.get("giveUpAfter", request.get("timeout", _SECONDS))
            return await asyncio.wait_for(self._exchange(data, request["method"]), seconds)
        except TimeoutError:
            return {"gaveUp": True} if "giveUpAfter" in request else {"noAnswer": True}
        except (ConnectionError, asyncio.IncompleteReadError):
            return {"connection": "closed without an answer"}

    async def _exchange(self, data: bytes, method: str) -> Json:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
        try:
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read() if method != "HEAD" else b""
        finally:
            writer.close()
        first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines if line]
        headers: Json = {}
        chunked = any(name.lower() == "transfer-encoding" for name, _ in pairs)
        for name, text in pairs:
            key = name.lower()
            if key not in _HIDDEN:
                headers[key] = [*([headers[key]] if isinstance(headers[key], str) else headers[key]), text] if key in headers else text
        lengths = [int(text) for name, text in pairs if name.lower() == "content-length"]
        headers_only = {"contentLength": lengths[0]} if method == "HEAD" and lengths else {}
        whole, body = _unchunked(body) if chunked and method != "HEAD" else (True, body)
        cut = {} if whole else {"connection": "cut in the middle of the answer"}
        return {"status": int(first.split()[1]), "headers": headers, "body": body, **cut, **headers_only}

    async def master(self, path: str) -> Json:
        return await self.send({"method": "GET", "path": path, "headers": {"x-functions-key": MASTER}})

    def normalised(self, value: Any) -> Any:
        """The value with what differs from run to run replaced as in the vectors."""
        if isinstance(value, dict):
            return {self.normalised(key): self.normalised(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.normalised(each) for each in value]
        if not isinstance(value, str):
            return value
        text = value.replace(f"127.0.0.1:{self.port}", "127.0.0.1:{port}").replace(f"localhost:{self.port}", "localhost:{port}")
        text = text.replace(str(self.host.folder / "apps" / self.name), "{app}")
        return _VERSION.sub("{version}", _UTC.sub("{utc}", _GUID.sub("{guid}", text)))


def _request_bytes(request: Json, port: int) -> bytes:
    given = request.get("headers") or {}
    pairs = [
        (name, text[0] * text[1] if isinstance(text, list) else text)
        for name, text in (given.items() if isinstance(given, dict) else given)
    ]
    named = {name.lower() for name, _ in pairs}
    body = _body(request)
    lines = [f"{request['method']} {request['path']} HTTP/1.1"]
    if "host" not in named:
        lines.append(f"Host: 127.0.0.1:{port}")
    lines += [f"{name}: {text}" for name, text in pairs]
    lines.append("Connection: close")
    if request.get("chunked"):
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n" % (len(body), body) + b"0\r\n\r\n" if body else b"0\r\n\r\n"
    elif "content-length" not in named and body is not None:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1" if request.get("latin1") else "utf-8")
    return head + (body or b"")


def _body(request: Json) -> bytes | None:
    if "bodyBase64" in request:
        return b64decode(request["bodyBase64"])
    if "bodyRepeat" in request:
        text, times = request["bodyRepeat"]
        return (text * times).encode()
    return request["body"].encode() if "body" in request else None


def _unchunked(data: bytes) -> tuple[bool, bytes]:
    """Whether the body is complete, and the body."""
    found, rest = b"", data
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return True, found
        found, rest = found + rest[:length], rest[length + 2 :]
    return False, found


def shown(answer: Json, expected: Json) -> Json:
    """The answer in the form of what is expected of it."""
    if "status" not in answer:
        return answer
    seen: Json = {name: answer[name] for name in ("status", "headers", "connection", "contentLength") if name in answer}
    body: bytes = answer["body"]
    if "json" in expected or "jsonSubset" in expected:
        try:
            seen["json"] = json.loads(body)
        except ValueError:
            seen["body"] = body.decode(errors="replace")
    elif "bodyLength" in expected:
        seen["bodyLength"] = len(body)
    elif "bodyBase64" in expected:
        seen["bodyBase64"] = b64encode(body).decode()
    elif "anyBody" not in expected:
        seen["body"] = body.decode(errors="replace")
    return seen


def write_app(folder: Path, app: Json, handlers: Mapping[str, str]) -> None:
    """Write an app's files and settings; `folder` names a compiled app that they change."""
    if "folder" in app:
        dotnet_kit.copy_app(Path(app["folder"]).name, folder)
    for name in app.get("remove") or ():
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)  # the compiled apps lack what this host does not need
    for name, (old, new) in (app.get("replace") or {}).items():
        (folder / name).write_text((folder / name).read_text().replace(old, new))
    for name, content in (app.get("files") or {}).items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            path.write_bytes(b64decode(content["base64"]) if "base64" in content else handlers[content["handler"]].encode())
        else:
            path.write_bytes(content.encode())
        if name.endswith(".sh"):
            path.chmod(0o700)
    values = {"FUNCTIONS_WORKER_RUNTIME": app["runtime"], **(app.get("env") or {})}
    values = {name: text for name, text in values.items() if text is not None}
    (folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))


@contextmanager
def running(folder: Path, apps: Mapping[str, Json], about: Json) -> Iterator[RecordedHost]:
    """One host with these apps, and one more that runs, so that the host starts whatever the others are."""
    names = {app: f"a{index:03}" for index, app in enumerate(apps)}
    for app, content in apps.items():
        write_app(folder / "apps" / names[app], content, about.get("handlers") or {})
        key_files = folder / "data" / "function-keys" / names[app]
        key_files.mkdir(parents=True)
        for name, keys in {**about["keys"], **(content.get("keyFiles") or {})}.items():
            (key_files / name).write_text(json.dumps(keys), "utf-8-sig")
    sound = {
        "runtime": "custom",
        "files": {
            "host.json": '{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "sleep", "arguments": ["600"]}}}'
        },
    }
    sound["files"]["F/function.json"] = '{"bindings": [{"type": "httpTrigger", "name": "r"}]}'
    write_app(folder / "apps" / "zzz", sound, {})
    (folder / "host.json").write_text('{"version": "2.0"}')
    process = start_process(folder)
    try:
        entries = wait_for_apps(folder, len(apps) + 1)
        yield RecordedHost(folder, entries, names)
    finally:
        end_process(process)
