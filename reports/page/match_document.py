"""The page of matches: what it says, put into its template. Pure but for the files it ships."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hashbench.characters import counted
from hashbench.reports.matches.told import TITLE, Chapter, told
from hashbench.reports.page.document import rendered
from hashbench.reports.page.match_pictures import Exhibition, exhibitions
from hashbench.reports.page.match_plots import WORDS, over_eps
from hashbench.reports.page.numbers import anchor
from hashbench.reports.page.plots import Plots, series_of
from hashbench.reports.text.sentences import one_line
from hashbench.reports.text.sheet import Sheet
from hashbench.results.matches.results import MatchResults, Threat

_ABOUT: Final[dict[Threat, str]] = {
    Threat.EVASION: "How many pictures no longer match their own clean file. A line is the search "
    "of the least eps, picture by picture; marks are attacks at one eps. In the shaded region it "
    "is proven that no attack gets there: the truth lies between it and the lines.",
    Threat.COLLISION: "How many pictures match a stranger: another picture, at whose "
    "code the attack aims.",
}


@dataclass(frozen=True)
class Kind:
    """The figures of one threat: heading, a sentence, and they."""

    title: str
    words: str
    plots: Plots


@dataclass(frozen=True)
class Part:
    """One set of pictures: its section, tables, sentences, figures and pictures."""

    id: str
    title: str
    sheets: tuple[Sheet, ...]
    notes: tuple[str, ...]
    kinds: tuple[Kind, ...]
    exhibitions: tuple[Exhibition, ...]


@dataclass(frozen=True)
class MatchPage:
    """All that the page says.

    Attributes:
        title: its heading.
        lede: what it holds, in a sentence.
        counts: names and numbers at its head.
        violations, troubles: what contradicts a proof, what could not be read.
        parts: the sets of pictures.
        notes: what the numbers mean.
        commands: ask for the same cells.
        left_out: pictures for which there was no room.
    """

    title: str
    lede: str
    counts: tuple[tuple[str, str], ...]
    violations: tuple[str, ...]
    troubles: tuple[str, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    commands: str
    left_out: int


def match_document(matches: MatchResults, heading: str = "") -> str:
    """The whole page of matches.

    Args:
        matches: every cell of the folders that are reported.
        heading: of the page; empty for the usual one.
    """
    return rendered(match_page(matches, heading), "matches.html", "tables")


def match_page(matches: MatchResults, heading: str) -> MatchPage:
    """What the page says; see `match_document`."""
    report = told(matches)
    attacks = {one.cell.attack for one in matches.cells if one.threat.is_attack}
    pictures = exhibitions((chapter.group for chapter in report.chapters), matches.gallery)
    return MatchPage(
        title=one_line(heading) or TITLE,
        lede=(
            "How far a picture has to be changed until a fixed hash no longer knows it, or takes "
            "it for another one: what attacks reached, what no attack can reach, and what the "
            "threshold costs the innocent."
        ),
        counts=tuple(_counts(matches, len(attacks))),
        violations=report.violations,
        troubles=report.not_read,
        parts=tuple(
            _part(chapter, shown, series_of(attacks))
            for chapter, shown in zip(report.chapters, pictures.of, strict=True)
        ),
        notes=report.notes,
        commands="\n".join(report.commands),
        left_out=pictures.left_out,
    )


def _part(chapter: Chapter, shown: tuple[Exhibition, ...], attacks: dict[str, int]) -> Part:
    group = chapter.group
    kinds = [
        Kind(title, _ABOUT[threat], over_eps(group, threat, attacks))
        for threat, (title, _) in WORDS.items()
    ]
    return Part(
        id=anchor("b", group.pictures, group.seed),
        title=chapter.title,
        sheets=chapter.sheets,
        notes=chapter.notes,
        kinds=tuple(kind for kind in kinds if kind.plots.plots),
        exhibitions=shown,
    )


def _counts(matches: MatchResults, attacks: int) -> Iterator[tuple[str, str]]:
    hashes = {one.cell.hash for one in matches.cells}
    pictures = sum(card.count for card in matches.sets.values())
    for count, one, several in (
        (len(hashes), "hash", "hashes"),
        (attacks, "attack", "attacks"),
        (pictures, "picture", "pictures"),
        (len(matches.cells) - len(matches.failed), "cell done", "cells done"),
    ):
        number, words = counted(count, one, several).split(" ", 1)
        yield words, number
    if matches.failed:
        yield "without a result", f"{len(matches.failed):,}"
