"""The names of a new automation in the catalogue, in code and on the bus. Decides only."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass

from bridge.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # as in the catalogue
_APP = re.compile(r"[a-z0-9][a-z0-9-]{0,52}")  # with -functions it is a name for the catalogue
_LONGEST_SUBSCRIPTION = 50  #: characters, of a subscription and of a rule (Service Bus quotas)
_LONGEST_TARGET = 24
#: Modules and folders of the app itself, and modules of the libraries that it imports.
_TAKEN = frozenset(
    {"azure", "bin", "bridge_invocation", "bridge_result", "cloudevents", "conftest", "function_app", "host", "modules", "test", "tests"}
)


@dataclass(frozen=True)
class Names:
    """An automation and the folder of its app, under every name that they have somewhere."""

    automation: str
    app_folder: str

    @property
    def words(self) -> list[str]:
        """The words of the name: `words.count-all` has three."""
        return [word for word in re.split(r"[._-]+", self.automation) if word]

    @property
    def module(self) -> str:
        """In Python and Go."""
        return "_".join(self.words).lower()

    @property
    def function(self) -> str:
        """Of the Azure Function, and in PowerShell: the words with a capital each."""
        return "".join(word[0].upper() + word[1:] for word in self.words)

    @property
    def variable(self) -> str:
        """The beginning of names in Go, where a small letter keeps them inside the package."""
        return self.function[0].lower() + self.function[1:]

    @property
    def subscription(self) -> str:
        """On the bus: of the subscription and of its rule."""
        return "-".join(self.words).lower()

    @property
    def route(self) -> str:
        """Of an HTTP function."""
        return "/".join(part.strip("_-").lower() for part in self.automation.split(".") if part.strip("_-"))

    @property
    def target(self) -> str:
        """In the catalogue entry."""
        return self.words[-1].lower()[:_LONGEST_TARGET]

    @property
    def app(self) -> str:
        """Of the app in the catalogue."""
        return f"{self.app_folder}-functions"

    @property
    def topic(self) -> str:
        """That the functions of the app take their work from."""
        return f"automation-{self.app_folder}"


def check(automation: str) -> None:
    """Raises ConfigurationError for a name that the catalogue does not take."""
    if not _NAME.fullmatch(automation):
        told = f"{automation[:100]!r} cannot be the name of an automation"
        raise ConfigurationError([f"{told}: it has 1 to 100 letters, digits, '.', '_' and '-', and begins with a letter or a digit."])


def of(automation: str, app_folder: str, *, topic: bool) -> Names:
    """The names of an automation for which a function is written. Raises ConfigurationError with what cannot be, and what to do."""
    check(automation)
    if not _APP.fullmatch(app_folder):
        raise ConfigurationError(
            [f"{app_folder[:100]!r} cannot be the folder of an app: it has small letters, digits and '-', and 53 characters at most."]
        )
    found = Names(automation, app_folder)
    module = found.module
    if not module[0].isalpha() or len(found.function) > 127:
        raise ConfigurationError([f"{automation!r} cannot be the name of a function, which begins with a letter and has at most 127."])
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module in _TAKEN:
        raise ConfigurationError(
            [f"{automation!r} cannot be the name of a module, because {module} has another meaning. Take two words, such as {module}.run."]
        )
    if topic and len(found.subscription) > _LONGEST_SUBSCRIPTION:
        most = f"which has {_LONGEST_SUBSCRIPTION} characters at most and would have {len(found.subscription)}"
        raise ConfigurationError([f"{automation!r} cannot be the name of a subscription, {most}. Take a shorter name."])
    return found
