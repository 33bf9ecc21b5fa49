"""Cells of matches put together as tables tell them: by set of pictures, hash and attack. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from hashbench.characters import counted
from hashbench.reports.text.sentences import HASH, one_line
from hashbench.results.cell import Status
from hashbench.results.matches.metrics import QUERIES, change_of
from hashbench.results.matches.results import (
    LEAST,
    MatchResult,
    MatchResults,
    PictureSetCard,
    Threat,
    radius_of,
)

_OWN_SIZE: Final = "own"


@dataclass(frozen=True)
class Group:
    """The cells of one set of pictures and one seed: what stands in one table.

    Attributes:
        pictures: SHA-256 of the set.
        seed: of everything that draws.
        card: what is known of the set; `None` where nothing is.
        title: which pictures, and which seed where there are several; on one line.
        cells: sorted.
    """

    pictures: str
    seed: int
    card: PictureSetCard | None
    title: str
    cells: tuple[MatchResult, ...]

    def of(self, threat: Threat) -> tuple[MatchResult, ...]:
        """Its cells of a threat."""
        return tuple(one for one in self.cells if one.threat is threat)

    @property
    def innocent(self) -> dict[str, MatchResult]:
        """By hash, what its threshold costs the innocent."""
        return {one.cell.hash: one for one in self.of(Threat.INNOCENT)}

    @property
    def proofs(self) -> dict[str, MatchResult]:
        """By hash, what is proven."""
        return {one.cell.hash: one for one in self.of(Threat.PROOF)}

    def radii(self, threat: Threat) -> tuple[str, ...]:
        """The radii of a threat's cells as they were written, the smallest first."""
        texts = {one.cell.eps for one in self.of(threat)} - {LEAST}
        return tuple(sorted(texts, key=radius_order))


@dataclass(frozen=True)
class AttackRow:
    """A hash under one attack.

    Attributes:
        hash: canonical text.
        attack: canonical text; empty where the hash is proven and nobody attacked it.
        bits: length of its code.
        threshold: the distance up to which two pictures match.
        innocent, proof: of the hash; `None` where nobody asked.
        least: the search of the least radius; likewise.
        at: by radius as it was written, what the attack did there.
    """

    hash: str
    attack: str
    bits: int
    threshold: int
    innocent: MatchResult | None = None
    proof: MatchResult | None = None
    least: MatchResult | None = None
    at: Mapping[str, MatchResult] = field(default_factory=dict)

    @property
    def counted_queries(self) -> MatchResult | None:
        """The cell whose queries are told: of the largest radius at which it ever succeeded."""
        told = [eps for eps, one in self.at.items() if QUERIES[2] in one.metrics] or list(self.at)
        return self.at[max(told, key=radius_order)] if told else None


def groups(matches: MatchResults) -> tuple[Group, ...]:
    """The cells by set of pictures and seed, sorted by the name of the set."""
    found: dict[tuple[str, int], list[MatchResult]] = {}
    for result in sorted(matches.cells, key=lambda one: one.cell):
        found.setdefault((result.cell.pictures, result.cell.seed), []).append(result)
    cards = matches.sets
    names = [_set_name(cards.get(pictures), pictures) for pictures in {key[0] for key in found}]
    several_seeds = len({seed for _, seed in found}) > 1
    together = []
    for (pictures, seed), cells in found.items():
        card = cards.get(pictures)
        title = _set_name(card, pictures)
        if names.count(title) > 1:
            title += f" ({pictures[:HASH]})"
        title += f", seed {seed}" if several_seeds else ""
        together.append(Group(pictures, seed, card, title, tuple(cells)))
    return tuple(sorted(together, key=lambda one: (one.title, one.pictures, one.seed)))


def attack_rows(group: Group, threat: Threat) -> tuple[AttackRow, ...]:
    """A row for every hash and attack of a threat; of evasion also for what is only proven."""
    cells = group.of(threat)
    proofs = group.proofs if threat is Threat.EVASION else {}
    attacked = {one.cell.hash for one in cells}
    names = {(one.cell.hash, one.cell.attack) for one in cells}
    names |= {(name, "") for name in proofs if name not in attacked}
    rows = []
    for name, attack in sorted(names):
        own = [one for one in cells if (one.cell.hash, one.cell.attack) == (name, attack)]
        first = own[0] if own else proofs[name]
        rows.append(
            AttackRow(
                name,
                attack,
                first.bits,
                first.threshold,
                group.innocent.get(name),
                proofs.get(name),
                next((one for one in own if one.cell.eps == LEAST), None),
                {one.cell.eps: one for one in own if one.cell.eps != LEAST},
            )
        )
    return tuple(rows)


def changes(cells: Iterable[MatchResult]) -> tuple[str, ...]:
    """The innocent changes of some cells, by name, numbers in them by their size."""
    found = {change_of(name) for one in cells if is_done(one) for name in one.metrics}
    return tuple(sorted((name for name in found if name is not None), key=_by_numbers))


def is_done(result: MatchResult) -> bool:
    """Whether it came to a result."""
    return result.status is Status.DONE


def radius_order(eps: str) -> tuple[int, Fraction, str]:
    """What radii are sorted by; one that nobody can read stands last."""
    radius = radius_of(eps)
    return (1, Fraction(0), eps) if radius is None else (0, radius.fraction, eps)


def pictures_in_words(card: PictureSetCard) -> str:
    """How many pictures of which size: `256 pictures of 256 x 256 pixels`."""
    size = " x ".join(one_line(card.size).split("x"))
    many = counted(card.count, "picture")
    return f"{many}, each of its own size" if card.size == _OWN_SIZE else f"{many} of {size} pixels"


def _set_name(card: PictureSetCard | None, pictures: str) -> str:
    if card is None:
        return f"pictures {one_line(pictures)[:HASH]}"
    return f"{one_line(card.name)}: {pictures_in_words(card)}"


def _by_numbers(name: str) -> tuple[tuple[int, float, str], ...]:
    pieces = re.split(r"([0-9]+(?:\.[0-9]+)?)", name)
    return tuple(
        (1, float(piece), "") if place % 2 else (0, 0.0, piece)
        for place, piece in enumerate(pieces)
    )
