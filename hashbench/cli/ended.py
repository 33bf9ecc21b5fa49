"""How a process ends: asked by a signal, and at once where threads that it cannot join remain."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from hashbench.console import TextConsole

GOES_ON: Final = ". What is done is kept: the same command goes on from there."
"""What is said of a run that is interrupted."""

PATIENCE: Final = 3.0
"""Seconds until a process that was asked to end does so, whatever it is at."""

_ASKED: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Ended(KeyboardInterrupt):
    """Somebody, or a system that shuts down, asked the process to end.

    As Ctrl-C it unwinds what is under way: bars are taken away, workers end, nothing is half
    written.
    """

    def __init__(self, number: int) -> None:
        """Asked by the signal of that number."""
        super().__init__(number)
        self.number = number


class Listener:
    """Raises `Ended` where a signal asks for the end, once.

    Attributes:
        heard: the signal; `None` as long as there was none.
    """

    def __init__(self) -> None:
        """Listen from now on; a signal that the caller ignores, as `nohup` does, stays ignored."""
        self.heard: int | None = None
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _ASKED:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: object) -> None:
        self.heard = number
        signal.signal(number, signal.SIG_DFL)  # a second one ends at once
        # Python drops an exception that falls into a finaliser.
        last = threading.Timer(PATIENCE, os._exit, (128 + number,))
        last.daemon = True
        last.start()
        raise Ended(number)


def word_and_code(interrupt: KeyboardInterrupt) -> tuple[str, int]:
    """How people are told of the end, `Interrupted` or `Ended by SIGTERM`, and the exit code."""
    if isinstance(interrupt, Ended):
        return f"Ended by {signal.Signals(interrupt.number).name}", 128 + interrupt.number
    return "Interrupted", 128 + signal.SIGINT


@contextmanager
def ending_at_once(notes: TextConsole, rest: str) -> Iterator[None]:
    """Say that it was interrupted, and end this process at once.

    Else a step that is being made in this process would go on to its next sign of progress. Nothing
    is lost, since what is not finished is not in the store.

    Args:
        notes: where it is said.
        rest: of the sentence, behind the word of `word_and_code`.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        word, code = word_and_code(interrupt)
        notes.say(f"{word}{rest}")
        os._exit(code)


@contextmanager
def repeat_interrupts() -> Iterator[None]:
    """Repeat Ctrl-C until it is heard: Python drops one that falls into a finaliser."""
    heard = False

    def again(_number: int, _frame: object) -> None:
        nonlocal heard
        heard = True
        timer = threading.Timer(0.2, _thread.interrupt_main)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, again)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if heard else before)


def leave(code: int) -> NoReturn:
    """End this process with an exit code: one of several that torchrun started, at once.

    Their group's threads live as long as anything holds it, and parts of torch do that (an import
    of torch._dynamo while there is a group is enough). A thread that lets go of a tensor while
    Python shuts down aborts the process, with exit code 134 in place of its own (torch's pull
    request 179291 tells how). What was written is flushed first; nothing else is left to be done.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1" and "torch.distributed" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
