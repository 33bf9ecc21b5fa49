"""Measured numbers beside published ones: which belong together, and where they differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from hashbench.data.protocol import PixelValues, Protocol
from hashbench.eps import Eps
from hashbench.reports.board.leaderboard import NO_RADIUS, Group, Leaderboard
from hashbench.reports.board.row import NOT_ASKED, Row, Score
from hashbench.reports.papers.published import ZERO, PublishedRow, Stated, name_of
from hashbench.reports.text import sentences
from hashbench.results.cell import CLEAN
from hashbench.results.metrics import toward_targets
from hashbench.results.results import Results


@dataclass(frozen=True)
class Pair:
    """A measured number and the published one that it stands beside.

    Attributes:
        published: the paper's.
        place: of the published one in the order of its file.
        defense, attack: of the measured one, by their canonical text.
        measured: over its seeds, of which perhaps none is done.
        differs: in which conditions the two differ as far as those are known, in words; they hold
            names of foreign origin. Empty where they agree.
    """

    published: PublishedRow
    place: int
    defense: str
    attack: str
    measured: Score
    differs: tuple[str, ...]

    @property
    def decimals(self) -> int:
        """Decimals of the measured percentage: as many as the source prints, and at least one."""
        exponent = self.published.percent.as_tuple().exponent
        return max(1, -exponent if isinstance(exponent, int) else 0)

    @property
    def percent(self) -> Decimal | None:
        """The measured mean in percent, rounded as it is printed; `None` where there is none."""
        mean = self.measured.expected.mean
        return None if mean is None else in_percent(mean, self.decimals)

    @property
    def difference(self) -> Decimal | None:
        """Measured minus published in points, of the numbers as they are printed.

        `None` where a seed has no number: a mean over the others might flatter.
        """
        if self.percent is None or not self.measured.expected.complete:
            return None
        return self.percent - self.published.percent


@dataclass(frozen=True)
class Comparison:
    """One table: all that was measured for it is of one protocol, training, loss and backbone.

    Attributes:
        group: as of a leaderboard; `bits` is 0, since the table holds every code length. `eps` is
            `0` where the table holds clean numbers alone.
        protocol: the card of what was measured.
        source, table: the paper's.
        metric: canonical name.
        pairs: in the order of the published file.
    """

    group: Group
    protocol: Protocol
    source: str
    table: str
    metric: str
    pairs: tuple[Pair, ...]


def comparisons(
    results: Results, published: Sequence[PublishedRow], boards: Iterable[Leaderboard]
) -> tuple[Comparison, ...]:
    """Every table in which a measured number stands beside a published one, in a stable order.

    They belong together where these are equal: data set, defense and attack by the plugins' names,
    code length, metric, and radius, by its value. Clean numbers stand in the table of each radius.
    Cells that failed are shown where they belong; published numbers that nobody asked these results
    for are not.

    Args:
        results: every cell of the folders that are reported.
        published: what papers say.
        boards: the leaderboards of the results.
    """
    families: dict[tuple[Group, str, str, str], list[tuple[Group, Pair]]] = {}
    for board in boards:
        family = replace(board.group, bits=0, eps=NO_RADIUS)
        for pair in _pairs(board, published):
            row = pair.published
            key = (family, row.source, row.table, row.metric)
            families.setdefault(key, []).append((board.group, pair))
    tables = [
        Comparison(
            group=replace(family, eps=eps),
            protocol=results.protocols[family.protocol],
            source=source,
            table=table,
            metric=metric,
            pairs=pairs,
        )
        for (family, source, table, metric), members in families.items()
        for eps, pairs in _by_radius(members)
        if any(pair.percent is not None for pair in pairs)
    ]
    return tuple(sorted(tables, key=_order))


def in_percent(value: float, decimals: int) -> Decimal:
    """A share as a percentage with so many decimals, rounded to the nearest."""
    return Decimal(100 * value).quantize(Decimal(1).scaleb(-decimals))


def _order(table: Comparison) -> tuple[str | int | Eps, ...]:
    group = table.group
    names = (group.dataset, group.loss, group.backbone, group.protocol, group.training)
    return (*names, min(pair.place for pair in table.pairs), group.radius)


def _by_radius(members: Sequence[tuple[Group, Pair]]) -> Iterator[tuple[str, tuple[Pair, ...]]]:
    """Cut the pairs of one table by the radius of the attack."""
    radii: dict[Eps, str] = {}
    for group, pair in members:
        if pair.attack != CLEAN:
            radii.setdefault(group.radius, group.eps)
    for radius, written in sorted(radii.items()) or [(ZERO, NO_RADIUS)]:
        chosen = [
            pair for group, pair in members if pair.attack != CLEAN and group.radius == radius
        ]
        # A clean cell serves every radius: that of this one's leaderboard speaks first.
        clean: dict[tuple[int, str], Pair] = {}
        for _, pair in sorted(members, key=lambda member: member[0].radius != radius):
            if pair.attack == CLEAN:
                clean.setdefault((pair.place, pair.defense), pair)
        chosen += clean.values()
        chosen.sort(key=lambda pair: (pair.place, pair.defense, pair.attack))
        yield written, tuple(chosen)


def _pairs(board: Leaderboard, published: Sequence[PublishedRow]) -> Iterator[Pair]:
    group = board.group
    wanted = [
        (place, row)
        for place, row in enumerate(published)
        if (row.dataset, row.bits) == (name_of(group.dataset), group.bits)
    ]
    for row in board.rows if wanted else ():
        for attack in (CLEAN, *board.attacks, *board.targeted):
            distance = ZERO if attack == CLEAN else group.radius
            for place, paper in wanted:
                names = (name_of(paper.defense.text), name_of(paper.attack.text))
                if names != (name_of(row.defense), name_of(attack)) or paper.radius != distance:
                    continue
                score = _score(board, row, attack, paper.metric)
                if score is not None:
                    differs = tuple(_differs(board, row, attack, paper))
                    yield Pair(paper, place, row.defense, attack, score, differs)


def _score(board: Leaderboard, row: Row, attack: str, metric: str) -> Score | None:
    """What was measured of this metric; `None` where nobody asked for it."""
    usual = board.protocol.metric
    if attack in board.targeted:
        # An attack that has a target is measured by it; that its victims' own labels are gone
        # from the list is no aim of it, and no number to put beside an untargeted attack's.
        score = row.targeted[board.targeted.index(attack)].reached
        if metric != toward_targets(usual):
            return None
    elif metric != usual:
        return None
    else:
        score = row.clean if attack == CLEAN else row.attacked[board.attacks.index(attack)]
    gaps = score.expected.gaps
    asked = bool(score.expected.values) or any(gap.reason != NOT_ASKED for gap in gaps)
    return score if asked else None


def _differs(board: Leaderboard, row: Row, attack: str, paper: PublishedRow) -> Iterator[str]:
    if setting := "; ".join(_setting(board, paper)):
        yield setting
    yield from _defense(board, row.defense, paper.defense)
    # An attack's text names all that is not its default, so another text is another attack.
    if _parameters(attack) != _parameters(paper.attack.text):
        yield f"attack {attack}, paper {paper.attack}"
    if paper.eps.presumed:
        yield f"eps {board.group.eps}, paper {paper.eps}"
    if row.codes:
        yield f"the measured model is flagged: {', '.join(row.codes)}"


def _setting(board: Leaderboard, paper: PublishedRow) -> Iterator[str]:
    """What all numbers of a leaderboard share: the protocol, the loss, the backbone."""
    card, group = board.protocol, board.group
    if group.dataset != paper.dataset:
        yield f"data set {group.dataset}, paper {paper.dataset}"
    for measured, stated, phrase in (
        (card.query, paper.queries, "{} queries, paper {}"),
        (card.train, paper.train, "{} to train on, paper {}"),
        (card.database, paper.database, "{} in the database, paper {}"),
    ):
        if stated.text != str(measured):
            yield phrase.format(f"{measured:,}", grouped(stated))
    if card.pixels != PixelValues.FLOAT:
        yield f"attacked images scored in pixels {card.pixels}, of which the paper says nothing"
    for kind, text, stated in (
        ("loss", group.loss, paper.loss),
        ("backbone", group.backbone, paper.backbone),
    ):
        # What the paper says of the plugin's parameters has to hold, and nothing else.
        here = text if ":" in stated.text else name_of(text)
        if (name_of(here), _parameters(here)) != (name_of(stated.text), _parameters(stated.text)):
            yield f"{kind} {text}, paper {stated}"


def _defense(board: Leaderboard, measured: str, stated: Stated) -> Iterator[str]:
    """Those of the stated parameters that do not hold; what a defense was granted counts as its."""
    budget = board.training.get("budget")
    granted = budget if isinstance(budget, Mapping) else {}
    ours = {key: str(value) for key, value in granted.items()} | _parameters(measured)
    wrong = {
        key: value
        for key, value in _parameters(stated.text).items()
        if key not in ours or not _same(ours[key], value)
    }
    if wrong:
        name = name_of(measured)
        found = {key: ours.get(key, "default") for key in wrong}
        here = ",".join(f"{k}={sentences.radius(v) if k == 'eps' else v}" for k, v in found.items())
        there = ",".join(f"{key}={value}" for key, value in wrong.items())
        yield f"defense {name}:{here}, paper {replace(stated, text=f'{name}:{there}')}"


def _same(one: str, other: str) -> bool:
    """Whether two values are one: as numbers where they are numbers."""
    try:
        return Fraction(one) == Fraction(other)
    except (ValueError, ZeroDivisionError):
        return one == other


def _parameters(text: str) -> dict[str, str]:
    """The parameters that a canonical text names; no text makes this fail."""
    found = (part.partition("=") for part in text.partition(":")[2].split(",") if part)
    return {key: value for key, _, value in found}


def grouped(size: Stated) -> str:
    """A number of images as it is printed: `1,700?`."""
    return f"{int(size.text):,}{'?' * size.presumed}" if size.known else str(size)


def counterparts(tables: Iterable[Comparison]) -> Mapping[str, int]:
    """How many published numbers of each source have a measured counterpart."""
    found = {
        (pair.place, pair.published.source)
        for table in tables
        for pair in table.pairs
        if pair.percent is not None
    }
    sources = [source for _, source in sorted(found)]
    return {source: sources.count(source) for source in dict.fromkeys(sources)}
