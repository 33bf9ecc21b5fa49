"""What a probe found: one sentence of one thing, and whether it is as it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from hashbench.characters import shortened
from hashbench.errors import HashbenchError, without_number

LONGEST = 300
"""Characters of what somebody else's error says."""


class State(StrEnum):
    """Whether something is as it should be.

    `NOTE`: it works, but a person may want to know; `WRONG`: something will not work.
    """

    OK = "ok"
    NOTE = "note"
    WRONG = "WRONG"


@dataclass(frozen=True)
class Finding:
    """One line of the answer.

    Attributes:
        subject: what was looked at, in a word or two.
        state: how it is.
        text: a sentence; of what is wrong also what to do.
    """

    subject: str
    state: State
    text: str


Probe = Callable[[], Iterable[Finding]]
"""Looks at one thing; may raise anything."""


def looked_at(subject: str, probe: Probe) -> Iterator[Finding]:
    """What a probe finds; where it ends in an error itself, that is the finding.

    Args:
        subject: what is looked at, for an error.
        probe: anything.
    """
    try:
        yield from probe()
    except (Exception, SystemExit) as error:  # what is broken may raise anything
        yield Finding(subject, State.WRONG, said(error))


def said(error: BaseException) -> str:
    """An error as a clause: its first words in one line, with its kind unless it is ours."""
    if isinstance(error, HashbenchError):
        return shortened(" ".join(str(error).split()), LONGEST)
    text = " ".join(without_number(error).split())
    if not (isinstance(error, OSError) and error.strerror):
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return shortened(text, LONGEST)
