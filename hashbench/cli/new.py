"""The command `hashbench new`: writes a plugin package to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashbench.cli.screen import for_answers
from hashbench.errors import UsageError
from hashbench.plugins.kinds import Kind


def new(
    kind: Annotated[
        str, typer.Argument(help="attack, defense, loss, backbone, dataset, format or hasher.")
    ],
    name: Annotated[str, typer.Argument(help="Its name, as in my-attack; the folder's too.")],
) -> None:
    """Write a working plugin package into a new folder NAME: edit it, install it, check it."""
    from hashbench import plugins
    from hashbench.cli.report_format import taken_by
    from hashbench.cli.scaffold import write_package
    from hashbench.suggestions import did_you_mean

    choices = [one.value for one in Kind]
    if kind not in choices:
        raise UsageError(f"there is no package of kind '{kind}'{did_you_mean(kind, choices)}")
    wanted = Kind(kind)
    folder = Path(name)
    if name in plugins.names(wanted):
        raise UsageError(f"the {kind} '{name}' exists already: choose another name")
    owner = taken_by(f".{name}") if wanted is Kind.FORMAT else ""
    suffix = f".{name}-report" if owner else f".{name}"
    files = write_package(wanted, name, folder, suffix)
    screen = for_answers()
    for path in files:
        screen.say(str(path))
    screen.print()
    if owner:
        screen.say(f"Its files end in *{suffix}, for *.{name} are those of format '{owner}'.")
    screen.say(f"Install it with: pip install --editable {folder}")
    screen.say(f"Then: hashbench check {name}")
