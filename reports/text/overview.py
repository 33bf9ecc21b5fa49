"""Methods by code lengths and data sets, as papers of the field print them: sheets. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.row import Row
from hashbench.reports.text import sentences
from hashbench.reports.text.entries import NOT_KNOWN
from hashbench.reports.text.sentences import FLAGGED, HASH, one_line
from hashbench.reports.text.sheet import Field, Sheet, Tone
from hashbench.reports.text.sheets import CERTIFIED, ranking

CLEAN = "clean"
WORST = "worst case"
PROVEN = CERTIFIED

_Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """One table over several leaderboards.

    Attributes:
        title: what its columns share; names in it are on one line.
        sheet: a row for each defense without an attack, and one for its worst case; a column for
            each leaderboard.
        notes: sentences that explain it.
    """

    title: str
    sheet: Sheet
    notes: tuple[str, ...]


def overviews(boards: Sequence[Leaderboard]) -> tuple[Overview, ...]:
    """Leaderboards side by side: code lengths and data sets, then radii.

    A table of lengths needs two code lengths or more of one data set, one of radii two radii of one
    data set and length. Numbers of other losses, backbones, trainings or pixels are never side by
    side, nor are those of two radii in a table of lengths.

    Args:
        boards: of one report, in its order.
    """
    found = []
    for family in _families(boards, _of_lengths):
        lengths: dict[_Key, set[int]] = {}
        for board in family:
            lengths.setdefault(_data(board), set()).add(board.group.bits)
        if any(len(bits) > 1 for bits in lengths.values()):
            found.append(_overview(family, _length_title(family), _length_heads(family)))
    for family in _families(boards, _of_radii):
        if len(family) > 1:
            found.append(_overview(family, _radius_title(family), _radius_heads(family)))
    return tuple(found)


def _families(
    boards: Iterable[Leaderboard], key: Callable[[Leaderboard], _Key]
) -> list[list[Leaderboard]]:
    found: dict[_Key, list[Leaderboard]] = {}
    for board in boards:
        found.setdefault(key(board), []).append(board)
    return list(found.values())


def _data(board: Leaderboard) -> _Key:
    return (board.group.dataset, board.group.protocol)


def _made(board: Leaderboard) -> _Key:
    group = board.group
    return (group.loss, group.backbone, group.training, board.protocol.pixels)


def _of_lengths(board: Leaderboard) -> _Key:
    return (*_made(board), sentences.radius(board.group.eps))


def _of_radii(board: Leaderboard) -> _Key:
    return (*_made(board), *_data(board), str(board.group.bits))


def _length_title(family: Sequence[Leaderboard]) -> str:
    group = family[0].group
    datasets = dict.fromkeys(board.group.dataset for board in family)
    parts = [*datasets] if len(datasets) == 1 else []
    parts += [group.loss, group.backbone]
    if family[0].attacked:
        parts.append(f"eps {group.eps}")
    return ", ".join(map(one_line, (*parts, "code lengths side by side")))


def _radius_title(family: Sequence[Leaderboard]) -> str:
    group = family[0].group
    parts = (group.dataset, group.loss, group.backbone, f"{group.bits} bits", "radii side by side")
    return ", ".join(map(one_line, parts))


def _length_heads(family: Sequence[Leaderboard]) -> list[str]:
    protocols = {_data(board) for board in family}
    several = len(protocols) > 1
    of_name = Counter(dataset for dataset, _ in protocols)
    heads = []
    for board in family:
        group = board.group
        name = one_line(group.dataset)
        if of_name[group.dataset] > 1:
            name += f" (protocol {group.protocol[:HASH]})"
        heads.append(f"{name}, {group.bits} bits" if several else f"{group.bits} bits")
    return heads


def _radius_heads(family: Sequence[Leaderboard]) -> list[str]:
    return [sentences.heading(board.group.eps) for board in family]


def _overview(family: Sequence[Leaderboard], title: str, heads: Sequence[str]) -> Overview:
    columns = [_Column.of(board) for board in family]
    defenses = dict.fromkeys(name for column in columns for name in column.rows)
    worst = any(board.can_rank for board in family)
    proven = any(board.has_certificates for board in family)
    lines = (CLEAN, *((WORST,) if worst else ()), *((PROVEN,) if proven else ()))
    rows = [
        (
            Field((one_line(defense),), Tone.NAME),
            Field((line,)),
            *(column.field(defense, line) for column in columns),
        )
        for defense in defenses
        for line in lines
    ]
    what = "mAP in percent, clean: without an attack"
    if worst:
        what += "; worst case: per query the lowest AP over the attacks that count"
    if proven:
        what += "; certified: what is proven"
    sheet = Sheet(what, ("defense", "queries", *heads), tuple(rows), names=2, name="Side by side")
    return Overview(title, sheet, tuple(_notes(family, heads, columns)))


@dataclass(frozen=True)
class _Column:
    """One leaderboard as a column.

    Attributes:
        board: the leaderboard.
        rows: by defense, in its order.
        fields: what its ranking shows, by defense and line.
    """

    board: Leaderboard
    rows: dict[str, Row]
    fields: dict[tuple[str, str], Field]

    @classmethod
    def of(cls, board: Leaderboard) -> _Column:
        """Read what the ranking shows, so that both tables say the same."""
        sheet = ranking(board)
        places = [(CLEAN, sheet.header.index(CLEAN))]
        if board.can_rank:
            # An attack may be called anything: the worst case stands behind all of them.
            places.append((WORST, len(sheet.header) - 1 - sheet.header[::-1].index(WORST)))
        if board.has_certificates:
            places.append((PROVEN, len(sheet.header) - 1 - sheet.header[::-1].index(CERTIFIED)))
        fields = {
            (row.defense, line): _flagged(line_of[place]) if row.codes else line_of[place]
            for row, line_of in zip(board.rows, sheet.rows, strict=True)
            for line, place in places
        }
        return cls(board, {row.defense: row for row in board.rows}, fields)

    def field(self, defense: str, line: str) -> Field:
        """What stands in a row; a dash where the column has no such number."""
        return self.fields.get((defense, line), Field((NOT_KNOWN,)))


def _flagged(field: Field) -> Field:
    first, *rest = field.parts
    return replace(field, parts=(first + FLAGGED, *rest), tone=Tone.PROBLEM)


def _notes(
    family: Sequence[Leaderboard], heads: Sequence[str], columns: Sequence[_Column]
) -> Iterable[str]:
    metrics = dict.fromkeys(map(sentences.metric, family))
    if len(metrics) == 1:
        yield f"Score: {next(iter(metrics))}."
    else:
        scores = (
            f"{head}: {sentences.metric(board)}" for head, board in zip(heads, family, strict=True)
        )
        yield f"Score: {'; '.join(scores)}."
    chances = {
        head: f"{100 * board.chance:.1f}"
        for head, board in zip(heads, family, strict=True)
        if board.chance is not None
    }
    if len(set(chances.values())) == 1:
        yield f"Chance, a random order: {next(iter(chances.values()))}."
    elif chances:
        said = (f"{head}: {chance}" for head, chance in chances.items())
        yield f"Chance, a random order: {'; '.join(said)}."
    texts = [part for column in columns for one in column.fields.values() for part in one.parts]
    if any(sentences.BELOW_CHANCE in text for text in texts):
        yield f"{sentences.BELOW_CHANCE} at or below chance."
    if any(sentences.WORTHLESS in text for text in texts):
        yield f"{sentences.WORTHLESS} a worthless proof, of no more than chance."
    if any(row.codes for column in columns for row in column.rows.values()):
        yield f"{FLAGGED} behind a number: flagged in the table of its column, which says why."
    counted = {board.shared for board in family if board.can_rank}
    if len(counted) > 1:
        for head, board in zip(heads, family, strict=True):
            if board.can_rank:
                yield f"Worst case, {head}: over {one_line(', '.join(board.shared))}."
    elif counted:
        yield f"Worst case: over {one_line(', '.join(next(iter(counted))))}."
    if any(one.tone is Tone.BEST for column in columns for one in column.fields.values()):
        yield "The best worst case of a column is the one that its table ranks first."
