"""The commands `plugins`, `suites` and `show`: what there is, and one of it in full."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hashbench.cli import completion
from hashbench.cli.options import PluginFiles, use_files
from hashbench.cli.screen import for_answers


def plugins(
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            autocompletion=completion.kinds,
            help="attack, defense, loss, backbone, dataset, format or hasher alone.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with the module of each plugin.")
    ] = False,
    plugin: PluginFiles = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Import hashbench's own plugins too, and show where a broken plugin broke.",
        ),
    ] = False,
) -> None:
    """List the plugins, attacks last, and those that are broken.

    An attack's access is how it looks at the model, its aim where it leads a query unless its
    parameters say otherwise.
    """
    from hashbench.cli.plugin_list import print_plugins
    from hashbench.plugins.lookup import kind_of

    use_files(plugin)
    kinds = tuple(dict.fromkeys(map(kind_of, kind or ())))
    print_plugins(for_answers(), kinds, verbose=verbose, as_json=as_json)


def suites() -> None:
    """List the suites that ship: what 'hashbench run NAME' runs."""
    from hashbench.cli.suite_list import print_suites

    print_suites(for_answers())


def show(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.shown,
            help="A plugin's name, KIND/NAME where two kinds share it; or a suite's, whose file is "
            "printed: hashbench show quick > my-suite.toml",
        ),
    ],
    plugin: PluginFiles = None,
) -> None:
    """Show one plugin: what it does, its parameters, its source; or the file of a suite."""
    from hashbench.cli.suite_list import file_of

    use_files(plugin)
    if (text := file_of(name)) is not None:
        sys.stdout.write(text)
        return
    from hashbench.cli.listing import print_plugin

    print_plugin(for_answers(), name)
