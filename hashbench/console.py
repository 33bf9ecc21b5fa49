"""The one console that the product prints with: text of any origin comes out as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Literal

from rich.console import (
    Console,
    ConsoleOptions,
    HighlighterType,
    JustifyMethod,
    OverflowMethod,
    RenderableType,
)
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from typing_extensions import override

from hashbench.characters import shown

_LAYOUT = "\n\t"
"""What steers nothing but the place of the text that follows."""


class TextConsole(Console):
    """A console that reads no markup and no emoji codes, and shows what steers a terminal.

    Brackets come out as they are; control, bidirectional and hidden characters as their numbers.
    Only rich itself, for colours and bars, writes escape sequences.
    """

    def __init__(
        self,
        *,
        stderr: bool = False,
        file: IO[str] | None = None,
        width: int | None = None,
        color: bool | None = None,
    ) -> None:
        """Print on standard output.

        Args:
            stderr: on standard error in its place.
            file: write there.
            width: columns; of the terminal by default.
            color: `True` and `False` decide it, and nothing is taken from the environment; by
                default it is as the terminal and the environment say.
        """
        decided: Literal["standard"] | None = "standard" if color else None
        super().__init__(
            stderr=stderr,
            file=file,
            width=width,
            force_terminal=color,
            color_system="auto" if color is None else decided,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=None if color is None else False,
            _environ=None if color is None else {},
        )

    def say(self, text: str, style: str = "") -> None:
        """Print one line, however long it is: a line break in it is shown as its number."""
        self.print(shown(text), style=style, soft_wrap=True)

    @override
    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: HighlighterType | None = None,
    ) -> Text:
        """Before it is measured, so that tables and wrapped lines keep their width."""
        return super().render_str(
            shown(text, keep=_LAYOUT),
            style=style,
            justify=justify,
            overflow=overflow,
            emoji=False,
            markup=False,
            highlight=highlight,
            highlighter=highlighter,
        )

    @override
    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Whatever was made into a text elsewhere; rich's own sequences are no text."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(shown(segment.text, keep=_LAYOUT), segment.style)
