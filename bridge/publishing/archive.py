"""Writes a zip whose bytes depend only on names, contents and executable flags, not on times, owners or the order of files on disk."""

from __future__ import annotations

import hashlib
import io
import shutil
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from bridge.publishing.contents import PackedFile

_TIME = (1980, 1, 1, 0, 0, 0)  #: the first that a zip can name
_UNIX = 3  #: the system on which the permissions of the entries mean something
_LEVEL = 9


def write(files: Iterable[PackedFile], path: Path) -> str:
    """Write the zip completely or not at all, and return the SHA-256 of its bytes. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w+b") as made:
            _fill(made, files)
            made.seek(0)
            digest = hashlib.file_digest(made, "sha256").hexdigest()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return digest


def _fill(target: IO[bytes], files: Iterable[PackedFile]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for each in sorted(files, key=lambda file: file.name):
            entry = zipfile.ZipInfo(each.name, _TIME)
            entry.compress_type, entry.create_system, entry.file_size = zipfile.ZIP_DEFLATED, _UNIX, each.size
            entry.external_attr = (stat.S_IFREG | (0o755 if each.executable else 0o644)) << 16
            with archive.open(entry, "w") as packed, _opened(each.content) as content:
                shutil.copyfileobj(content, packed)


def _opened(content: Path | bytes) -> IO[bytes]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
