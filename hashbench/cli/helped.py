"""How `--help` looks: whole sentences, names of values in capitals, nothing of Python's types."""

from __future__ import annotations

import re
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typing_extensions import override

_VALUES: Final = {"int": "N", "float": "X", "str": "TEXT", "path": "PATH", "file": "FILE"}
"""What stands for a value whose option says nothing itself, by typer's name of its type."""


class HelpedCommand(TyperCommand):
    """A command whose help is for people."""

    @override
    def get_params(self, ctx: Any) -> list[Any]:
        return [_named(param) for param in super().get_params(ctx)]

    @override
    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return _plain_pieces(super().collect_usage_pieces(ctx))

    @override
    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.help = reflowed(self.help or "")
        super().format_help(ctx, formatter)


class HelpedGroup(TyperGroup):
    """The same of a command that has others below it."""

    @override
    def get_params(self, ctx: Any) -> list[Any]:
        return [_named(param) for param in super().get_params(ctx)]


def use_helped_commands(*apps: typer.Typer) -> None:
    """Let all commands of these apps be told about in this way."""
    for app in apps:
        for info in app.registered_commands:
            info.cls = HelpedCommand


def reflowed(text: str) -> str:
    """Each paragraph of a docstring on one line; one whose lines are indented stays as it is."""
    paragraphs = [part.strip("\n") for part in text.split("\n\n")]
    return "\n\n".join(
        part if part.startswith(" ") or "\n " in part else " ".join(part.split("\n"))
        for part in paragraphs
    )


def defaulting(what: str, default: str) -> str:
    r"""What an option is, and what is taken where it is not given, as typer shows defaults.

    For an option whose default is not a value of its own: `\[default: that of the data set]`.
    """
    plain = what.replace("[", "\\[")
    return f"{plain} [dim]\\[default: {default}][/dim]"


def _named(param: Any) -> Any:
    """A parameter whose value has a name in capitals, or none where it is a switch."""
    if param.param_type_name == "argument":
        param.metavar = param.metavar or param.name.upper()
        shown = ""
    elif getattr(param, "is_flag", False):
        shown = ""
    else:
        found = re.search(r"(\w+)\W*$", param.metavar or _type_of(param))
        shown = param.metavar or _VALUES.get(found[1] if found else "", "VALUE")
    # Where typer has no such method, it shows no type either.
    if hasattr(param, "display_type_rich"):
        param.display_type_rich = lambda ctx: shown  # noqa: ARG005 - typer's parameter
    return param


def _type_of(param: Any) -> str:
    return str(param.display_type(None)).lower() if hasattr(param, "display_type") else ""


def _plain_pieces(pieces: list[str]) -> list[str]:
    """`NAME` for typer's `{NAME}`."""
    return [re.sub(r"^\{(.*)\}(\.*)$", r"\1\2", piece) for piece in pieces]
