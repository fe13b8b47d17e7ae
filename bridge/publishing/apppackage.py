"""Collects the contents of a function app's package, from its folder and from elsewhere, and notes for its owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.local.functions.apps import AppFolder, Language
from bridge.publishing import archive, contents, helpers, hostfile, packagenotes, programs
from bridge.publishing.contents import PackedFile
from bridge.publishing.leftout import LeftOut

_PACKAGES = ".python_packages/"


@dataclass(frozen=True, slots=True)
class AppPackage:
    """A package that can be written."""

    app: AppFolder
    path: Path  #: of the zip
    files: Sequence[PackedFile]
    left_out: Sequence[str]
    added: Sequence[str]  #: names of files that are not in the app's folder
    host_json: str  #: where that file comes from
    notes: Sequence[str]  #: what to do beside publishing

    def write(self) -> str:
        """Write the zip and return the SHA-256 of its bytes. Raises OSError."""
        return archive.write(self.files, self.path)

    @property
    def builds(self) -> bool:
        """Whether Azure has to install what the app requires."""
        names = {each.name for each in self.files}
        if self.app.language is Language.PYTHON:
            return "requirements.txt" in names and not any(each.startswith(_PACKAGES) for each in names)
        return (
            self.app.language is Language.NODE and "package.json" in names and not any(each.startswith("node_modules/") for each in names)
        )


def of(app: AppFolder, out: Path, shared_host_json: Path) -> AppPackage:
    """The package of an app, to be written into the folder `out`. Raises ConfigurationError, OSError."""
    path = out / f"{app.name}.zip"
    host = hostfile.of(app.directory, shared_host_json)
    own = contents.of(app.directory, LeftOut.of(app.directory), path)
    programs.check(app, own.files)
    files = [each for each in _with_programs(app, own.files) if each.name != hostfile.FILE]
    added = helpers.missing(app.language, files)
    everything = [*files, *added, PackedFile(hostfile.FILE, host.content)]
    names = [*(each.name for each in added), *([hostfile.FILE] if isinstance(host.content, bytes) else [])]
    notes = packagenotes.of(app, everything, has_bundle=host.has_bundle)
    return AppPackage(app, path, sorted(everything, key=lambda each: each.name), own.left_out, names, host.origin, notes)


def _with_programs(app: AppFolder, files: Sequence[PackedFile]) -> list[PackedFile]:
    """The files, with the programs that Azure starts marked as executable, even if the disk of the app cannot do that."""
    started = {path.resolve() for path in programs.executables(app)}
    return [
        replace(each, executable=True) if isinstance(each.content, Path) and each.content.resolve() in started else each for each in files
    ]
