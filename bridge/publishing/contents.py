"""Finds the files of a package, with their names in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.publishing.leftout import LeftOut


@dataclass(frozen=True, slots=True)
class PackedFile:
    """One file of a package: its content, or the path to read it from."""

    name: str  #: from the top of the package, with `/`
    content: Path | bytes
    executable: bool = False

    @property
    def size(self) -> int:
        """The size in bytes. Raises OSError."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


@dataclass(frozen=True, slots=True)
class FolderContents:
    """The files of a folder that are packaged, and those that are not.

    A folder without any packaged file is one entry that ends with `/`.
    """

    files: Sequence[PackedFile]
    left_out: Sequence[str]  #: text in UTF-8, whatever the name is


def of(app: Path, rules: LeftOut, besides: Path) -> FolderContents:
    """The contents of an app's folder, without `besides`, which is the package itself. Raises ConfigurationError, OSError."""
    return _below(app, "", rules, besides.resolve(), frozenset({app.resolve()}))


def below(folder: Path, prefix: str) -> list[PackedFile]:
    """Every file of a folder that is part of this product; its names begin with `prefix`."""
    paths = sorted(each for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts)
    return [PackedFile(prefix + each.relative_to(folder).as_posix(), each) for each in paths]


def _below(folder: Path, prefix: str, rules: LeftOut, besides: Path, above: frozenset[Path]) -> FolderContents:
    files: list[PackedFile] = []
    left_out: list[str] = []
    for path in sorted(folder.iterdir(), key=lambda each: os.fsencode(each.name)):
        name = prefix + path.name
        if path.is_dir():
            inner = FolderContents((), (name,)) if rules.never(path) else _inside(path, name, rules, besides, above)
            files += inner.files
            left_out += inner.left_out if inner.files else [_told(f"{name}/")] if inner.left_out else []
        elif rules.never(path) or rules.ignores(name):
            left_out.append(_told(name))
        elif path.is_file():
            files += [_packed(name, path)] if path.resolve() != besides else []
        elif path.is_symlink():
            raise ConfigurationError([f"{path} is a link to {path.readlink()}, which is not there. Remove it, or name it in .funcignore."])
    return FolderContents(files, left_out)


def _inside(path: Path, name: str, rules: LeftOut, besides: Path, above: frozenset[Path]) -> FolderContents:
    """The files in a folder; links to folders are followed. Raises ConfigurationError for a link to a folder above itself."""
    if path.is_symlink() and rules.ignores(f"{name}/"):
        return FolderContents((), (name,))
    real = path.resolve()
    if real in above:
        raise ConfigurationError([f"{path} leads back to {real}, so the package would have no end. Remove it, or name it in .funcignore."])
    return _below(path, f"{name}/", rules, besides, above | {real})


def _packed(name: str, path: Path) -> PackedFile:
    return PackedFile(_checked(name), path, bool(path.stat().st_mode & stat.S_IXUSR))


def _checked(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            [f"{name!r} is not text in UTF-8, and a zip takes no other name. Rename it, or leave it out with .funcignore."]
        ) from None
    return name


def _told(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")
