"""A bar in a notebook: one output of the cell, written anew as the run goes on."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, TypeAlias

from typing_extensions import override

from hashbench.characters import counted, shown
from hashbench.progress import duration
from hashbench.runner.remaining import Forecast
from hashbench.runner.reporter import Forecasting
from hashbench.runner.steps import Step

SECONDS_BETWEEN_LOOKS: Final = 0.2
"""How often the output is written anew at most; every writing is a message to the browser."""

MOST_LINES: Final = 20
"""Of failures and notes; what is more is counted."""

Show: TypeAlias = Callable[[Mapping[str, str]], None]
"""Puts a thing, as text by its media type, in the place of what it put there before."""


def output() -> Show | None:
    """An output of the notebook cell that is being run; `None` where this is no notebook.

    A shell in a terminal is none, though it is IPython too.
    """
    shell = sys.modules.get("IPython")
    found = None if shell is None else shell.get_ipython()
    if found is None or not hasattr(found, "kernel"):
        return None
    place: Any = import_module("IPython.display").display(
        {"text/plain": ""}, raw=True, display_id=True
    )
    return lambda content: place.update(content, raw=True)


class NotebookReporter(Forecasting):
    """A bar for the run, a line for what is being made, and one for each failure and note.

    It needs no widgets: what it writes is kept as the cell's output.
    """

    def __init__(
        self,
        show: Show,
        forecast: Forecast | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write with `show`; the remaining time too, where there is a forecast.

        Args:
            show: see `output`.
            forecast: of the remaining time.
            clock: gives seconds.
        """
        super().__init__(forecast)
        self._show = show
        self._clock = clock
        self._began = clock()
        self._looked = -1.0
        self._steps = self._stored = self._done = self._failed = self._more = 0
        self._shares: dict[str, tuple[str, float]] = {}
        self._lines: list[str] = []
        self._read = ""

    @override
    def reading(self, done: int, total: int) -> None:
        self._read = f"reading images: {done:,} of {total:,}"
        self._look(done / max(1, total))

    @override
    def begin(self, steps: int, stored: int) -> None:
        self._read = ""
        self._steps, self._stored = steps, stored
        self._move(now=True)

    @override
    def started(self, step: Step) -> None:
        super().started(step)
        self._shares[step.key] = (step.label, 0.0)
        self._move(now=True)

    @override
    def advanced(self, step: Step, done: int, total: int) -> None:
        super().advanced(step, done, total)
        self._shares[step.key] = (step.label, done / total if total else 0.0)
        self._move()

    @override
    def finished(self, step: Step, seconds: float) -> None:
        super().finished(step, seconds)
        self._shares.pop(step.key, None)
        self._done += 1
        self._move()

    @override
    def elsewhere(self, step: Step) -> None:
        super().elsewhere(step)
        self._done += 1
        self._move()

    @override
    def failed(self, step: Step, reason: str, dropped: int) -> None:
        super().failed(step, reason, dropped)
        self._shares.pop(step.key, None)
        self._done += 1 + dropped
        self._failed += 1 + dropped
        self._line(f"FAILED {step.label}: {reason}")

    @override
    def again(self, step: Step, reason: str, tried: int, most: int) -> None:
        super().again(step, reason, tried, most)
        self._shares.pop(step.key, None)
        self._line(f"the process of {step.label} ended ({reason}): it is tried again")

    @override
    def note(self, text: str) -> None:
        self._line(f"Note: {text}")

    @override
    def end(self) -> None:
        self._shares.clear()
        if self._looked < 0:  # nothing was shown: it ended before it began
            return
        gone = duration(self._clock() - self._began)
        failed = f", {self._failed} of them failed" if self._failed else ""
        words = (
            f"{self._done:,} of {counted(self._steps, 'step')}{failed}; "
            f"{self._stored:,} in the store; {gone}"
        )
        self._write(words, None)

    def _line(self, text: str) -> None:
        if len(self._lines) < MOST_LINES:
            self._lines.append(shown(text))
        else:
            self._more += 1
        self._move(now=True)

    def _move(self, *, now: bool = False) -> None:
        if self._forecast is not None:
            share = self._forecast.share()
        else:
            under_way = sum(part for _, part in self._shares.values())
            share = (self._done + under_way) / max(1, self._steps)
        self._look(share, now=now)

    def _look(self, share: float, *, now: bool = False) -> None:
        if not now and self._clock() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = self._clock()
        self._write(self._read or self._words(), share)

    def _words(self) -> str:
        words = f"step {min(self._done + 1, max(1, self._steps))} of {self._steps}"
        if self._forecast is not None and self._done < self._steps:
            words += f", about {duration(max(1.0, self._forecast.left()))} left"
        labels = ", ".join(f"{shown(label)} {share:.0%}" for label, share in self._shares.values())
        return f"{words}: {labels}" if labels else words

    def _write(self, words: str, share: float | None) -> None:
        more = [f"and {self._more} more lines like these"] if self._more else []
        lines = [words, *self._lines, *more]
        bar = "" if share is None else f'<progress value="{share:.4f}" max="1"></progress> '
        text = "<br>".join(html.escape(line) for line in lines)
        self._show({"text/plain": "\n".join(lines), "text/html": f"<div>{bar}{text}</div>"})
