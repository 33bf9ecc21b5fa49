"""The commands `hashbench plugins` and `hashbench show`: what there is, and one of it in full."""

from __future__ import annotations

from typing import Annotated

import typer

from hashbench.cli.options import PluginFiles, use_files
from hashbench.cli.screen import for_answers


def plugins(
    plugin: PluginFiles = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show where a broken plugin broke.")
    ] = False,
) -> None:
    """List every plugin, where it comes from, and those that are broken."""
    from hashbench.cli.listing import print_plugins

    use_files(plugin)
    print_plugins(for_answers(), verbose=verbose)


def show(
    name: Annotated[
        str, typer.Argument(help="A plugin's name; KIND/NAME where two kinds share it.")
    ],
    plugin: PluginFiles = None,
) -> None:
    """Show one plugin: what it does, its parameters, its source."""
    from hashbench.cli.listing import print_plugin

    use_files(plugin)
    print_plugin(for_answers(), name)
