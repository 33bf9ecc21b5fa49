"""The law of screens: foreign text reaches a terminal by one console, and by nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.package import DATA, laid_out

CONSOLE = "console.py"
"""The one file that makes a console of rich; all others take `TextConsole` from there."""

WRITERS = {
    "cli/app.py",  # the version's number
    "standard_streams.py",  # exceptions that nobody caught, made fit
    "cli/show.py",  # a suite's file that ships
    "cli/cite.py",  # BibTeX, which the bibliography makes fit
    "cli/report_target.py",  # a format's text, which is that format's to make fit
    "data/garments/embed.py",  # a script of our own, on files of our own
}
"""Who may write to a standard stream without it."""

CONSOLES = ("Console", "get_console")
WRITES = ("write", "writelines")

PRINTING = {"Console", "get_console", "print", "print_exception", "echo", "secho", "print_json"}
"""What prints around it: rich's, typer's, Python's."""


def offences(name: str, text: str) -> Iterator[str]:
    """What of a file's text breaks the law, as `line: what`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in PRINTING and name != CONSOLE:
                yield f"{node.lineno}: {called.id}(...)"
            if isinstance(called, ast.Attribute) and called.attr in CONSOLES:
                yield f"{node.lineno}: {called.attr}(...)"
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                room = called.value.id
                if room in ("typer", "click", "rich") and called.attr in PRINTING:
                    yield f"{node.lineno}: {room}.{called.attr}(...)"
            if isinstance(called, ast.Attribute) and called.attr == "from_markup":
                yield f"{node.lineno}: markup is read"
            for keyword in node.keywords:
                value = keyword.value
                if keyword.arg == "markup" and isinstance(value, ast.Constant) and value.value:
                    yield f"{node.lineno}: markup is read"
            told = {keyword.arg for keyword in node.keywords}
            if _name(called) == "TextColumn" and "markup" not in told:
                yield f"{node.lineno}: TextColumn reads markup unless told not to"
        if isinstance(node, ast.Attribute) and node.attr in WRITES and name not in WRITERS:
            stream = node.value
            if isinstance(stream, ast.Attribute) and stream.attr in ("stdout", "stderr"):
                yield f"{node.lineno}: sys.{stream.attr}.{node.attr}"


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def test_everything_is_printed_by_the_one_console(tmp_path: Path) -> None:
    package = laid_out(tmp_path, *DATA)
    files = {str(path.relative_to(package)): path for path in package.rglob("*.py")}
    ours = {name: path for name, path in files.items() if not name.startswith("benchmarks/")}
    assert len(ours) > 250
    assert {*WRITERS, CONSOLE} <= ours.keys()
    found = {name: list(offences(name, path.read_text())) for name, path in ours.items()}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "line",
    [
        "Console(stderr=True).print(name)",
        "print(name)",
        "typer.echo(name)",
        "rich.print(name)",
        "sys.stdout.write(name)",
        "sys.stderr.writelines(names)",
        "rich.console.Console().print(name)",
        "Text.from_markup(name)",
        "screen.print(name, markup=True)",
        "progress.TextColumn('{task.description}')",
    ],
)
def test_a_planted_offence_is_found(line: str) -> None:
    assert list(offences("cli/run.py", line))
