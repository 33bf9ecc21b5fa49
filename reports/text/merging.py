"""What is told of folders that were read together: what differs, what could not be read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Final

from hashbench.data.protocol import Protocol
from hashbench.reports.board.leaderboard import Leaderboard, Namesake
from hashbench.reports.text.sentences import HASH, one_line
from hashbench.reports.text.sheet import Field, Sheet, Tone
from hashbench.results.cell import CERTIFICATE, Cell
from hashbench.results.provenance import Conflict, Measurement
from hashbench.results.results import Results

NOT_READ: Final = "Not read"
"""Stands above what could not be read."""

MOST_NAMED: Final = 3
"""How many conflicts, or tables of the same names, a note below a table names."""

_DIGITS: Final = 12
"""Behind the point of percents: what differs in none of these is no conflict."""


def not_read(results: Results) -> tuple[str, ...]:
    """What of the folders could not be read, a sentence each, on one line."""
    return sentences_of(results.troubles)


def sentences_of(troubles: Sequence[str]) -> tuple[str, ...]:
    """What could not be read, a sentence each, on one line."""
    return tuple(one_line(f"{sentence.rstrip('.')}.") for sentence in troubles)


def conflicts_sheet(results: Results) -> Sheet | None:
    """Every conflict, a line for each folder; `None` where there is none."""
    if not results.conflicts:
        return None
    rows = []
    for conflict in results.conflicts:
        values = values_of(conflict)
        for place, said in enumerate(conflict.measurements):
            rows.append(
                (
                    Field((_name(conflict.cell),), Tone.NAME),
                    Field((one_line(said.provenance.folder),)),
                    Field((made_with(said) or "-",)),
                    Field((values[place],), Tone.PLAIN if place else Tone.BEST),
                    Field(("no" if place else "yes",)),
                )
            )
    title = (
        "Conflicts: folders that say different things of one cell, its mAP in percent. The value "
        "of the run that was asked for last stands in the tables; nothing is averaged"
    )
    return Sheet(
        title,
        ("cell", "folder", "made with", "mAP", "in tables"),
        tuple(rows),
        names=3,
        name="Conflicts",
    )


def conflict_notes(board: Leaderboard) -> Iterator[str]:
    """Of the conflicts about a table's cells; the sheet has all of them."""
    for conflict in board.conflicts[:MOST_NAMED]:
        cell = conflict.cell
        told = "; ".join(
            f"{one_line(said.provenance.folder)} {value}"
            for said, value in zip(conflict.measurements, values_of(conflict), strict=True)
        )
        what = "clean" if cell.is_clean else cell.attack
        what = CERTIFICATE if cell.is_certificate else what
        yield (
            f"Folders say different things of {one_line(cell.defense)}, {one_line(what)}, seed "
            f"{cell.seed}: {told}. The first stands here; nothing is averaged."
        )
    rest = len(board.conflicts) - MOST_NAMED
    if rest > 0:
        yield f"So they do of {rest:,} more cells of this table: see Conflicts."


def namesake_notes(board: Leaderboard) -> Iterator[str]:
    """Of tables with the same names, from which these numbers are kept apart."""
    for other in board.namesakes[:MOST_NAMED]:
        yield (
            f"Another table has these names and {_apart(board, other)}. Numbers of the two are "
            "not compared."
        )
    rest = len(board.namesakes) - MOST_NAMED
    if rest > 0:
        yield f"So it is with {rest:,} more tables."


def values_of(conflict: Conflict) -> tuple[str, ...]:
    """What each place says, in percent, with as many digits as tell the values apart."""
    values = [
        100 * said.metrics.get(conflict.metric, float("nan")) for said in conflict.measurements
    ]
    different = len({round(value, _DIGITS) for value in values})
    for digits in range(1, _DIGITS):
        texts = tuple(f"{value:.{digits}f}" for value in values)
        if len(set(texts)) == different:
            break
    # Single queries, or orders of ties, differ where no mean does.
    return tuple(f"{text} (other queries)" if different == 1 else text for text in texts)


def made_with(said: Measurement) -> str:
    """Versions, commit and device of who made a number, in brief."""
    known = said.provenance.environment
    parts = [f"{name} {known[name]}" for name in ("hashbench", "torch") if name in known]
    if "commit" in known:
        changed = ", changed" if known.get("dirty") == "yes" else ""
        parts.insert(min(1, len(parts)), f"commit {known['commit'][:HASH]}{changed}")
    device = known.get("device", "")
    where = known.get("gpu", "") if device.startswith("cuda") else known.get("processor", "")
    parts += [part for part in (device, where) if part]
    return one_line(", ".join([*parts, f"key {said.provenance.key[:HASH]}"]))


def _name(cell: Cell) -> str:
    parts = [cell.dataset, cell.loss, cell.backbone, f"{cell.bits} bits", cell.defense]
    what = CERTIFICATE if cell.is_certificate else cell.attack
    parts += ["clean"] if cell.is_clean else [what, f"eps {cell.eps}"]
    return one_line(", ".join([*parts, f"seed {cell.seed}"]))


def _apart(board: Leaderboard, other: Namesake) -> str:
    """In what another table differs."""
    here, there = board.protocol, other.protocol
    if here.hash == there.hash:
        mine, its = board.group.training[:HASH], other.training[:HASH]
        return f"another training ({its}, here {mine})"
    found = ", ".join(_differences(here, there))
    return f"another protocol ({there.hash[:HASH]}, here {here.hash[:HASH]}): {found}"


def _differences(here: Protocol, there: Protocol) -> Iterator[str]:
    own: Mapping[str, object] = {one.name: getattr(here, one.name) for one in fields(here)}
    for name, value in own.items():
        its = getattr(there, name)
        if its != value:
            texts = [str(one)[:HASH] if name == "split" else str(one) for one in (its, value)]
            yield one_line(f"{name} {texts[0]}, here {texts[1]}")
