"""What stands below every table, said once where several tables share it. Pure text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.text import sentences


def captions(boards: Sequence[Leaderboard]) -> tuple[tuple[str, ...], ...]:
    """The captions of several leaderboards, in the order in which they are read.

    A paragraph that stands below an earlier table word for word is not said again: one line names
    what is shared, and the first table that has it.

    Args:
        boards: of one report, the first one on top.
    """
    told: dict[str, str] = {}
    return tuple(tuple(_new(board, told)) for board in boards)


def _new(board: Leaderboard, told: dict[str, str]) -> Iterator[str]:
    title = sentences.title(board)
    shared: dict[str, list[str]] = {}
    for paragraph in sentences.caption(board):
        where = told.setdefault(paragraph, title)
        if where == title:
            yield paragraph
        else:
            shared.setdefault(where, []).append(paragraph.partition(":")[0].lower())
    for where, words in shared.items():
        yield f"As for the table {where}: {', '.join(words)}."
