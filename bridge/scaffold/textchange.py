"""What is to be written: new files, and files with something added. All of it is known and checked before the first byte is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import ConfigurationError


@dataclass
class FileChanges:
    """Texts by the file that gets them. Line ends are those of the file that is there, else `\\n`."""

    created: dict[Path, str] = field(default_factory=dict)
    changed: dict[Path, str] = field(default_factory=dict)

    def create(self, path: Path, text: str) -> None:
        """Write a new file. Raises ConfigurationError if it is there."""
        if path.exists():
            raise ConfigurationError([f"{path} already exists, and nothing is overwritten. Choose another name, or remove it."])
        self.created[path] = text

    def ensure(self, path: Path, text: str) -> None:
        """Write a file that is the same for every automation, unless it is there."""
        if not path.exists() and path not in self.created:
            self.created[path] = text

    def text(self, path: Path) -> str | None:
        """What the file holds so far, with `\\n` at the ends of lines; None without it. Raises ConfigurationError."""
        if path in self.created or path in self.changed:
            return self.created.get(path, self.changed.get(path))
        return existing(path)

    def replace(self, path: Path, text: str) -> None:
        """Write the file with this text."""
        (self.changed if path.exists() else self.created)[path] = text

    def write(self) -> None:
        """Write everything. Raises OSError."""
        for path, text in self.created.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        for path, text in self.changed.items():
            path.write_text(text, encoding="utf-8", newline="\r\n" if b"\r\n" in path.read_bytes() else "\n")


def existing(path: Path) -> str | None:
    """The text of a file that may be added to; None if there is none. Raises ConfigurationError for one that is not in UTF-8."""
    if not path.exists():
        return None
    try:
        data = path.read_bytes()
        return data.decode().replace("\r\n", "\n")
    except OSError as fault:
        raise ConfigurationError([f"{path} cannot be read: {fault.strerror}."]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path} is not in UTF-8, so nothing can be added to it. Save it in UTF-8."]) from None
