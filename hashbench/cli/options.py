"""What the commands share: options that several of them have, plugin files, exit codes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

LONGEST_PATH: Final = 200
"""Characters of a path that an error shows."""

EXIT_FAILED: Final = 1
"""A cell failed, a check found something, a disk is full."""
EXIT_USAGE: Final = 2
"""What was typed cannot be done."""
EXIT_INTERRUPTED: Final = 130
"""Ctrl-C, as shells count it: 128 and the signal's number."""

PluginFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE.py", help="A file with further plugins; its code is run."
    ),
]


def use_files(paths: Iterable[Path] | None) -> None:
    """Add the plugins of the files that were named, if any.

    Raises:
        UsageError: there is no such file.
    """
    from hashbench import plugins

    for path in paths or ():
        plugins.use_file(path)
