"""The command `hashbench check`: tries the rules of its kind on a plugin."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from hashbench.cli.completion import plugins_of
from hashbench.cli.debug import say_traceback
from hashbench.cli.expecting import expected_of, parse_expected
from hashbench.cli.options import EXIT_FAILED, PluginFiles, use_files
from hashbench.cli.screen import for_answers, for_notes, print_trimmed
from hashbench.console import TextConsole
from hashbench.errors import UsageError
from hashbench.plugins.card import API
from hashbench.plugins.kinds import Kind

if TYPE_CHECKING:
    from hashbench.plugins.base import Plugin
    from hashbench.testing import CheckReport


def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME-OR-FILE",
            autocompletion=plugins_of(*(kind.value for kind in Kind)),
            help="NAME, KIND/NAME, NAME:steps=20, or a .py file, whose code is run.",
        ),
    ],
    plugin: PluginFiles = None,
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of a data set that is read from one."),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE=WHY",
            help="A rule that is known not to be kept, and why; NAME/RULE=WHY of one plugin of "
            "several. One that is kept all the same fails. May be repeated.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Name every check, and say what it asks for.")
    ] = False,
) -> None:
    """Check that a plugin of any kind keeps the rules. Exit code 1 if it does not.

    Printed are the rules that are broken, with the reasons given by --expect, and how many hold;
    with --verbose all of them.
    """
    from hashbench.testing import check_plugin

    expected = parse_expected(expect or ())
    use_files(plugin)
    failed = False
    checked = _of_file(Path(target)) if target.endswith(".py") else [_named(target)]
    for found, reasons in zip(checked, expected_of(expected, checked), strict=True):
        report = check_plugin(found, root=root, expected_failures=reasons)
        _print(for_answers(), report, verbose=verbose)
        failed = failed or not report.ok
    with_what = f"Checked with hashbench {version('hashbench')}, plugin interface {API}."
    for_answers().print(with_what, style="dim")
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _of_file(path: Path) -> list[Plugin]:
    """All plugins of a file, with their default parameters."""
    from hashbench import plugins
    from hashbench.plugins.parameters import build

    plugins.use_file(path)
    registry = plugins.registry(*Kind)
    source = str(path.resolve())
    for broken in registry.broken:
        if broken.origin.source == source:
            raise UsageError(f"plugin file {path} is broken: {broken.reason}") from broken.error
    found = [
        build(entry.plugin, {})
        for (kind, _), entries in registry.entries.items()
        for entry in entries
        if entry.origin.source == source
    ]
    if not found:
        raise UsageError(f"plugin file {path}: it holds no plugin")
    return found


def _named(text: str) -> Plugin:
    """The plugin that a name with parameters stands for.

    Raises:
        UsageError: there is none, or several kinds have one.
    """
    from hashbench import plugins
    from hashbench.plugins import Spec
    from hashbench.suggestions import did_you_mean

    before, slash, after = text.partition("/")
    if slash and ":" not in before:  # a value may hold a slash, as in eps=8/255
        return plugins.get(before, after)
    name = text.partition(":")[0].partition("@")[0].strip()
    kinds = [kind for kind in Kind if name in plugins.names(kind)]
    if not kinds:
        Spec.parse(text)  # what is wrong with its form is told first
    if len(kinds) > 1:
        choices = " or ".join(f"{kind}/{name}" for kind in kinds)
        raise UsageError(f"several plugins are called '{name}': write {choices}")
    if kinds:
        return plugins.get(kinds[0], text)
    everyone = {known for kind in Kind for known in plugins.names(kind)}
    for broken in plugins.registry().broken:
        if broken.name == name:
            raise UsageError(
                f"plugin '{name}' of {broken.origin} is broken: {broken.reason}"
            ) from broken.error
    sentence = f"there is no plugin '{name}'{did_you_mean(name, everyone)}"
    raise plugins.registry().without_broken_files(sentence)


def _print(console: TextConsole, report: CheckReport, *, verbose: bool) -> None:
    """What did not hold, and how many checks ended how; all of them where that is asked for."""
    from hashbench.testing import Verdict

    console.print(f"{report.kind} {report.subject}", style="bold")
    styles = {Verdict.FAILED: "red", Verdict.EXPECTED: "yellow", Verdict.SKIPPED: "dim"}
    told = (Verdict.FAILED, Verdict.EXPECTED)
    outcomes = [one for one in report.outcomes if verbose or one.verdict in told]
    if outcomes:
        table = Table(box=None, pad_edge=False, show_header=False)
        # As wide for a few as for all, so that the tables of several plugins stand alike.
        table.add_column(no_wrap=True, min_width=max(len(one.check) for one in report.outcomes))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for one in outcomes:
            cells = (one.check, str(one.verdict), one.told)
            table.add_row(*cells, style=styles.get(one.verdict))
        print_trimmed(console, table)
    for one in outcomes:
        say_traceback(for_notes(), one.traceback)
    for warning in report.warnings:
        print_trimmed(console, Text(f"Warning: {warning}", style="yellow"))
    print_trimmed(console, Text(report.counts))
    console.print()
