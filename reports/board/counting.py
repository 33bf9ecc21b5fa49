"""Which attacks of a table count: those that all ranked rows share. Pure.

A minimum over more attacks is lower, whatever the model: worst cases over different sets of attacks
are never compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hashbench.reports.board.row_reader import RowReader
from hashbench.results.cell import CLEAN

CONTROL = "noise"
"""The attack that stands first: what does less than random noise is no attack."""


@dataclass(frozen=True)
class Counts:
    """What counts in one table.

    Attributes:
        shared: the attacks that every row has which may be ranked, in the table's order.
        left_out: why a row has no place in the ranking, by defense, where the attacks are why.
    """

    shared: tuple[str, ...]
    left_out: Mapping[str, str]


def is_control(attack: str) -> bool:
    """Whether this canonical name is the control's, with or without parameters."""
    return attack.partition(":")[0] == CONTROL


def what_counts(readers: Sequence[RowReader], attacks: tuple[str, ...]) -> Counts:
    """Find the attacks that the rows share.

    An attack that was not asked for on some row counts on none. One that was asked for and failed,
    or was not run to the end, counts, and leaves its own row out: a model that breaks an attack
    must not take it from the others. A flagged row, or one without a clean number, is not ranked
    anyhow and decides nothing. Where no attack but the control would be left to count, rows are
    taken in by the number of their attacks, the most first, as long as one is left.

    Args:
        readers: the rows.
        attacks: the untargeted attacks of the table.
    """
    sound = [r for r in readers if not any(r.flags.values()) and r.done(CLEAN)]
    asked = {reader.defense: reader.asked() for reader in sound}
    by_most = sorted(sound, key=lambda r: (-len(asked[r.defense]), r.defense))
    counted = frozenset(attacks)
    taken: list[RowReader] = []
    left_out: dict[str, str] = {}
    for reader in by_most:
        both = counted & asked[reader.defense]
        if any(not is_control(attack) for attack in both):
            counted = both
            taken.append(reader)
        elif any(not is_control(attack) for attack in attacks):
            left_out[reader.defense] = "it shares no attack with the rows that are ranked"
    whole = [reader for reader in taken if all(map(reader.done, counted))]
    # What a row that is left out was not asked for may be shared by all that stay.
    for attack in attacks:
        if whole and all(reader.done(attack) for reader in whole):
            counted |= {attack}
    return Counts(tuple(attack for attack in attacks if attack in counted), left_out)
