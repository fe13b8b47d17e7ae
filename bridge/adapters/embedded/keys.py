"""Keys that the embedded runtime generates and stores in the data directory, readable by their owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bridge.errors import ConfigurationError


def key(data_dir: Path, name: str) -> bytes:
    """The key of this name, 32 bytes. Generated once. Raises ConfigurationError if it cannot be stored or is readable by all."""
    path = data_dir / name
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    except OSError as fault:
        raise ConfigurationError([f"{path}: cannot be written ({fault.strerror}); choose another --data-dir"]) from None
    # The group may have access: Kubernetes gives it with `fsGroup`.
    if os.name == "posix" and path.stat().st_mode & 0o007:
        raise ConfigurationError([f"{path}: everybody on this machine may use it; delete it, so that a new one is made"])
    found = path.read_bytes()
    if len(found) != 32:
        raise ConfigurationError([f"{path}: has {len(found)} bytes instead of 32; delete it and start again"])
    return found
