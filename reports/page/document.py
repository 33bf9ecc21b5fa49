"""The page as one text: what it says, put into its template. Pure but for the files it ships."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from hashbench.eps import Norm
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.page.model import Model
from hashbench.reports.page.models import DENSE, MOST_SECTIONS, Reader, by_model, threat
from hashbench.reports.page.names import breakable
from hashbench.reports.page.numbers import NOTHING, anchor, percent
from hashbench.reports.page.pictures import Galleries, galleries
from hashbench.reports.page.plots import (
    NO_PLOTS,
    Plots,
    against_training,
    clean_against_robust,
    over_eps,
    series_of,
    shared_axes,
)
from hashbench.reports.page.proofs import between
from hashbench.reports.page.sources import Sources
from hashbench.reports.papers.section import Section, section
from hashbench.reports.text import reproduce
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.sentences import HASH, caption, metric, one_line, title, verdicts
from hashbench.results.cell import CLEAN, CellResult, Status, in_words
from hashbench.results.results import Results

FIRST: Final = 'document.documentElement.classList.add("runs");'
"""Told before anything is drawn: whether scripts run, so that a long table is not drawn twice."""

LAZY: Final = 60
"""Models from which on a browser that runs scripts makes the elements of a section as it is opened.

They stand in `noscript` elements: one that runs none has them all from the start."""

SHOWN_AT_ONCE: Final = 200
"""Rows that the script lets the table show before it is asked for more."""


@dataclass(frozen=True)
class Part:
    """One table of comparable models.

    Attributes:
        id: the name of its section.
        title: what its models share.
        metric: the measure, with its list length.
        names: data set, loss, backbone and threat, as the filters know them.
        bits: code length; `radius` is what the threat is sorted by.
        verdicts, notes, caption: sentences before and below it.
        models: in the order of the ranking.
        has_section: whether any of them has one.
    """

    id: str
    title: str
    metric: str
    names: Mapping[str, str]
    bits: int
    radius: str
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]
    caption: tuple[str, ...]
    models: tuple[Model, ...]
    has_section: bool = True


@dataclass(frozen=True)
class Dispute:
    """One cell of which several places say different things: what, and by place its value."""

    what: str
    said: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Page:
    """All that the page says.

    Attributes:
        title: its heading.
        lede: what it holds, in a sentence.
        counts: names and numbers at its head.
        parts: the tables.
        backbones: whether there are several, which takes a column.
        choices: by filter, what it offers.
        flags: the codes that are up anywhere.
        robust, training, radii, proofs: the plots.
        certified: whether anybody asked what is proven, which takes a column.
        flat: whether every radius is of L-infinity.
        published: numbers of papers beside these; `None` where there are none.
        galleries: what of the pictures is shown.
        commands: ask for all of the cells.
        versions: what they were made with and when, as far as it is known.
        disputes, troubles: what contradicts, what could not be read.
        sources: every reference.
        shared: what figures refer to.
        without_section: how many models have none.
        lazy: whether sections are made as they are opened, see `LAZY`.
        size: rows that the table shows at once.
    """

    title: str
    lede: str
    counts: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    backbones: bool
    choices: Mapping[str, tuple[str, ...]]
    flags: tuple[str, ...]
    robust: Plots
    training: Plots
    radii: Plots
    published: Section | None
    galleries: Galleries
    commands: str
    versions: tuple[str, ...]
    disputes: tuple[Dispute, ...]
    troubles: tuple[str, ...]
    sources: Sources
    shared: str
    without_section: int = 0
    lazy: bool = False
    size: int = SHOWN_AT_ONCE
    proofs: Plots = NO_PLOTS
    certified: bool = False
    flat: bool = True


def document(results: Results, published: Iterable[str], heading: str) -> str:
    """The whole page.

    Args:
        results: every cell of the folders that are reported.
        published: files of published numbers, besides those that ship.
        heading: of the page.

    Raises:
        UsageError: a file of published numbers is missing or malformed.
    """
    return rendered(page(results, published, heading), "page.html", "leaderboard")


def page(results: Results, published: Iterable[str], heading: str) -> Page:
    """What the page says; see `document`."""
    boards = leaderboards(results)
    rows = [row for board in boards for row in board.rows]
    defenses = series_of(row.defense for row in rows)
    names = {name for board in boards for name in board.attacks}
    # Clean queries come first, so that their look is the same in every page.
    attacks = {CLEAN: 0} | {name: place + 1 for name, place in series_of(names - {CLEAN}).items()}
    shown = galleries((r.cell for r in _telling(results.cells)), results.gallery)
    sources = Sources()
    reader = Reader(
        by_model(results.cells),
        results,
        attacks,
        sources,
        shown.shown,
        dense=len(rows) > DENSE,
    )
    parts = []
    left = MOST_SECTIONS
    for board in boards:
        parts.append(_part(board, reader, left))
        left = max(0, left - len(board.rows))
    return Page(
        title=one_line(heading),
        lede=_lede(boards),
        counts=tuple(_counts(results, parts)),
        parts=tuple(parts),
        backbones=len({board.group.backbone for board in boards}) > 1,
        choices=_choices(parts),
        flags=tuple(sorted({code for part in parts for m in part.models for code in m.codes})),
        robust=clean_against_robust(boards, defenses),
        training=against_training(boards, defenses),
        radii=over_eps(boards, defenses),
        published=section(results, boards, published),
        galleries=shown,
        commands="\n".join(reproduce.commands(results)),
        versions=reproduce.versions(results),
        disputes=_disputes(results),
        troubles=tuple(one_line(words) for words in results.troubles),
        sources=sources,
        shared=shared_axes(),
        without_section=max(0, len(rows) - MOST_SECTIONS),
        lazy=len(rows) > LAZY,
        proofs=between(boards, defenses),
        certified=any(board.has_certificates for board in boards),
        flat=all(board.group.radius.norm is Norm.LINF for board in boards),
    )


def _part(board: Leaderboard, reader: Reader, sections: int) -> Part:
    """One table; so many of its models have a section."""
    group = board.group
    return Part(
        id=anchor("b", *vars(group).values()),
        title=title(board),
        metric=metric(board),
        names={
            "dataset": one_line(group.dataset),
            "loss": one_line(group.loss),
            "backbone": one_line(group.backbone),
            "bits": str(group.bits),
            "threat": threat(board),
        },
        bits=group.bits,
        # The page sorts by this number; a radius of L-infinity is 1 at most.
        radius=f"{float(group.radius) + (group.radius.norm is not Norm.LINF):.8f}",
        verdicts=verdicts(board),
        notes=notes_on(board),
        caption=caption(board),
        models=tuple(
            reader.model(board, row, has_section=place < sections)
            for place, row in enumerate(board.rows)
        ),
        has_section=sections > 0,
    )


def _telling(cells: Sequence[CellResult]) -> list[CellResult]:
    """Attacked cells that are done: the first seed of every model before its others."""
    done = [r for r in cells if r.cell.attack != CLEAN and r.status is Status.DONE]
    seen: dict[object, int] = {}
    turns = []
    for result in done:
        place = replace(result.cell, seed=0)
        turns.append(seen.get(place, 0))
        seen[place] = turns[-1] + 1
    order = sorted(range(len(done)), key=lambda at: (turns[at], at))
    return [done[at] for at in order]


def _lede(boards: Sequence[Leaderboard]) -> str:
    measures = sorted({metric(board) for board in boards})
    if not boards:
        return "These results hold no cell."
    what = " and ".join(measures)
    return (
        f"{what} in percent. A worst case is, query by query, the lowest average precision that "
        "any counted attack leaves; it ranks the models. Ranks are within one data set, loss, "
        "backbone, code length, threat and training."
    )


def _counts(results: Results, parts: Sequence[Part]) -> list[tuple[str, str]]:
    models = [model for part in parts for model in part.models]
    attacks = {r.cell.attack for r in results.cells} - {CLEAN}
    seeds = {r.cell.seed for r in results.cells}
    found = [
        ("model" if len(models) == 1 else "models", f"{len(models):,}"),
        ("attack" if len(attacks) == 1 else "attacks", f"{len(attacks):,}"),
        ("seed" if len(seeds) == 1 else "seeds", f"{len(seeds):,}"),
        ("cells done", f"{len(results.cells) - len(results.failed):,}"),
    ]
    if results.failed:
        found.append(("without a result", f"{len(results.failed):,}"))
    flagged = sum(bool(model.codes) for model in models)
    if flagged:
        found.append(("flagged", f"{flagged:,}"))
    return found


def _choices(parts: Sequence[Part]) -> dict[str, tuple[str, ...]]:
    found = {}
    for name in ("dataset", "loss", "backbone", "threat"):
        found[name] = tuple(dict.fromkeys(part.names[name] for part in parts))
    found["bits"] = tuple(map(str, sorted({part.bits for part in parts})))
    return found


def _disputes(results: Results) -> tuple[Dispute, ...]:
    found = []
    for conflict in results.conflicts:
        what = in_words(conflict.cell)
        said = tuple(
            (
                one_line(one.provenance.folder),
                percent(one.metrics[conflict.metric])
                if conflict.metric in one.metrics
                else NOTHING,
                one_line(one.provenance.key[:HASH]),
            )
            for one in conflict.measurements
        )
        found.append(Dispute(one_line(what), said))
    return tuple(found)


def rendered(content: object, template: str, first_part: str) -> str:
    """A page in its template; the policy names the two scripts that may run by their hashes.

    Args:
        content: what the template calls `page`.
        template: its file's name.
        first_part: what the reader is led to, past the head.
    """
    names = ("frame.html", template, "macros.html", "page.css", "page.js")
    sources = {
        name: (files(__package__) / "shipped" / name).read_text(encoding="utf-8") for name in names
    }
    script, style = (sources[name].strip("\n") for name in ("page.js", "page.css"))
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters["drawn"] = Markup
    environment.filters["breakable"] = breakable
    return environment.get_template(template).render(
        page=content,
        first_part=first_part,
        script=Markup(script),  # noqa: S704 - a file of this package
        style=Markup(style),  # noqa: S704
        script_hashes=[_digest(FIRST), _digest(f"\n{script}\n")],
        nothing=NOTHING,
        first=Markup(FIRST),  # noqa: S704
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
