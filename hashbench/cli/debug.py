"""`--debug`: tracebacks of what went wrong, on standard error, whatever the command."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final

from hashbench.console import TextConsole

OPTION: Final = "--debug"

_ASKED: Final = ContextVar("tracebacks are asked for", default=False)


def without_option(words: Iterable[str]) -> list[str]:
    """The words of a command line without the option, which may stand anywhere before a `--`."""
    left = list(words)
    end = left.index("--") if "--" in left else len(left)
    if OPTION in left[:end]:
        ask()
    return [word for word in left[:end] if word != OPTION] + left[end:]


def ask() -> None:
    """Ask for tracebacks, from now on."""
    _ASKED.set(True)


def asked() -> bool:
    """Whether tracebacks are asked for."""
    return _ASKED.get()


def say_traceback(notes: TextConsole, found: BaseException | str) -> None:
    """Print a traceback as the text of strangers that it is, if tracebacks are asked for.

    Args:
        notes: where to.
        found: an error, or its traceback as text.
    """
    if not asked() or not found:
        return
    if isinstance(found, BaseException):
        found = "".join(traceback.format_exception(found))
    notes.print(found.rstrip("\n"), soft_wrap=True)
