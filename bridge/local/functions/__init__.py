"""A host that runs function apps as Azure would, without Azure.

`serve` and `main` import the rest when they are called, because the module `interpreter` must run before anything is installed.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.local.functions.options import Options

__all__ = ["Options", "main", "serve"]


async def serve(options: Options) -> None:
    """Run every function app until SIGTERM or SIGINT, or until `options.parent` is gone.

    Raises ConfigurationError with every problem that keeps the apps from starting.
    """
    from bridge.local.functions import host  # noqa: PLC0415 - see the module's docstring

    await host.serve(options)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m bridge.local.functions`; returns the exit code: 0, or 2 when the start was refused."""
    from bridge.local.functions import command  # noqa: PLC0415 - see the module's docstring

    return command.main(arguments)
