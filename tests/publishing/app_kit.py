"""Small function apps to package."""

from __future__ import annotations

import json
from pathlib import Path

HTTP = {"bindings": [{"type": "httpTrigger", "direction": "in", "name": "req"}, {"type": "http", "direction": "out", "name": "res"}]}
WORKER = {
    "description": {
        "language": "dotnet-isolated",
        "defaultExecutablePath": "dotnet",
        "defaultWorkerPath": "App.dll",
        "workerIndexing": "true",
    }
}
BUNDLE = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.0.0, 5.0.0)"}


def write(app: Path, files: dict[str, object]) -> Path:
    """Write files of an app: text, bytes, or a value as JSON. Returns the folder."""
    for name, content in files.items():
        path = app / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content)).encode())
    return app


def python(app: Path, **files: object) -> Path:
    return write(app, {"function_app.py": "import azure.functions\n", "requirements.txt": "azure-functions\n", **files})
