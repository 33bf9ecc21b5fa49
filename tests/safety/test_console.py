"""The console shows text of any origin as text, however it gets there."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from hashbench.characters import shown
from hashbench.console import TextConsole

Print = Callable[[TextConsole, str], None]

HOSTILE = "\x1b]0;pwned\x07[red]a[/x] :smile: \u202eb\u200bc\u2028d\x9b31m\ue000"


def in_table(console: TextConsole, text: str) -> None:
    table = Table(text, title=text)
    table.add_row(text)
    table.add_row(Text(text))
    console.print(table)


def in_bar(console: TextConsole, text: str) -> None:
    column = TextColumn("{task.description}", markup=False)
    with Progress(column, console=console) as bar:
        bar.add_task(text)


WAYS: dict[str, Print] = {
    "say": lambda console, text: console.say(text),
    "print": lambda console, text: console.print(text),
    "print, wrapped": lambda console, text: console.print(text, soft_wrap=True, style="red"),
    "a text of rich": lambda console, text: console.print(Text(text)),
    "a table": in_table,
    "a bar": in_bar,
}


def printed(way: Print, text: str, width: int = 1000) -> str:
    file = io.StringIO()
    way(TextConsole(file=file, width=width, color=False), text)
    return file.getvalue()


@pytest.mark.parametrize("way", [way for name, way in WAYS.items() if name != "a bar"])
def test_what_steers_is_shown_and_brackets_stay(way: Print) -> None:
    text = printed(way, HOSTILE)
    assert shown(text, keep="\n") == text
    assert "[red]a[/x] :smile: " in text
    assert r"\u202eb\u200bc\u2028d\x9b31m" in text


@given(text=st.text(), width=st.integers(1, 200))
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_any_text(way: Print, text: str, width: int) -> None:
    found = printed(way, text, width)
    assert shown(found, keep="\n") == found


@given(text=st.text())
def test_a_line_is_one_line_and_holds_all_of_it(text: str) -> None:
    assert printed(lambda console, words: console.say(words), text) == shown(text) + "\n"


def test_colours_of_our_own_come_through() -> None:
    file = io.StringIO()
    TextConsole(file=file, color=True).say("\x1b[31mx", style="red")
    assert file.getvalue() == "\x1b[31m\\x1b[31mx\x1b[0m\n"
