"""What `hashbench suites` prints, and the file that `hashbench show SUITE` copies."""

from __future__ import annotations

from importlib.resources import files

from rich.table import Table
from rich.text import Text

from hashbench.cli.screen import print_trimmed
from hashbench.console import TextConsole
from hashbench.runner.suite import shipped

_KIND = "suite/"
"""Stands before a suite's name where a plugin has it too."""


def print_suites(console: TextConsole) -> None:
    """A line for every suite that ships."""
    table = Table(box=None, pad_edge=False)
    table.add_column("suite", no_wrap=True)
    table.add_column("what it runs", overflow="fold")
    for name in shipped():
        table.add_row(name, Text(about(_text(name))))
    print_trimmed(console, table)
    console.print(
        "\nRun one: hashbench run NAME. Its file, to start one of your own from: "
        "hashbench show NAME > my-suite.toml",
        soft_wrap=True,
    )


def file_of(name: str) -> str | None:
    """The text of a suite that ships; `None` where there is none, or a plugin has that name.

    Args:
        name: as it was typed: `quick`, or `suite/quick`.
    """
    from hashbench.plugins.kinds import Kind
    from hashbench.plugins.lookup import known_names

    bare = name.removeprefix(_KIND)
    if bare not in shipped():
        return None
    if bare == name and any(name in known_names(kind) for kind in Kind):
        return None
    return _text(bare)


def about(text: str) -> str:
    """What a suite file says of itself: the first sentence of the remark that it starts with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#") or not (words := line.lstrip("#").strip()):
            break
        lines.append(words)
    sentence, _, _ = " ".join(lines).partition(". ")
    return sentence.rstrip(".:")


def _text(name: str) -> str:
    return (files("hashbench.benchmarks") / "suites" / f"{name}.toml").read_text(encoding="utf-8")
