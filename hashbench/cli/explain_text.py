"""What `hashbench explain` prints: tables of two defenses, and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from hashbench.characters import shown
from hashbench.cli.screen import print_trimmed
from hashbench.console import TextConsole

if TYPE_CHECKING:
    from hashbench.results.contrast import Comparison, Contrast, Pictured

COLUMNS: Final = ("", "A", "B", "A - B", "95 % interval", "apart", "A better", "B better")
"""Of the table of differences."""

QUERY_COLUMNS: Final = ("query", "labels", "A", "B", "A - B", "pictures")
"""Of the table of queries."""


def told(
    screen: TextConsole, comparison: Comparison, kept: Mapping[int, Pictured], queries: int
) -> None:
    """Print one comparison.

    Args:
        screen: where to.
        comparison: of two defenses.
        kept: the queries that there are pictures of, by place.
        queries: how many queries to name at most.
    """
    _say(screen, title(comparison), "bold")
    _say(screen, f"A: {comparison.first}")
    _say(screen, f"B: {comparison.second}")
    screen.print()
    _draw(screen, COLUMNS, [line(one) for one in comparison.contrasts], names=1)
    screen.print()
    for sentence in sentences(comparison):
        _say(screen, sentence, "dim")
    for head, places in lists(comparison, kept, queries):
        screen.print()
        _say(screen, head)
        if places:
            screen.print()
            rows = [query_line(comparison.judged, place, kept) for place in places]
            _draw(screen, QUERY_COLUMNS, rows, names=2)


def title(comparison: Comparison) -> str:
    """What both share."""
    cell = comparison.setting
    seeds = ", ".join(map(str, comparison.seeds))
    parts = [cell.dataset, cell.loss, cell.backbone, f"{cell.bits} bits"]
    parts += [f"eps {cell.eps}"] if comparison.attacked else []
    parts.append(f"{'seed' if len(comparison.seeds) == 1 else 'seeds'} {seeds}")
    return ", ".join(parts)


def line(contrast: Contrast) -> tuple[str, ...]:
    """One line of `COLUMNS`, in percent."""
    bounds = contrast.interval
    first, second = contrast.wins
    return (
        named(contrast.attack),
        percent(float(contrast.first.mean())),
        percent(float(contrast.second.mean())),
        signed(float(contrast.gaps.mean())),
        "-" if bounds is None else f"[{signed(bounds.low)}, {signed(bounds.high)}]",
        "yes" if contrast.apart else "no",
        f"{first:,}",
        f"{second:,}",
    )


def query_line(contrast: Contrast, place: int, kept: Mapping[int, Pictured]) -> tuple[str, ...]:
    """One line of `QUERY_COLUMNS`, in percent."""
    one = kept.get(place)
    sides = (
        ""
        if one is None
        else " and ".join(
            name for name, side in (("A", one.first), ("B", one.second)) if side is not None
        )
    )
    return (
        str(place),
        "-" if one is None else ", ".join(one.labels),
        percent(float(contrast.first[place])),
        percent(float(contrast.second[place])),
        signed(float(contrast.gaps[place])),
        f"of {sides}" if sides else "none kept",
    )


def sentences(comparison: Comparison) -> Iterator[str]:
    """What the table is, and what it is not."""
    count = comparison.judged.first.size
    yield (
        f"mAP in percent over the same {count:,} queries; A - B: the mean of the difference query "
        "by query, its interval for other queries of the same kind (docs/protocol.md, "
        '"Intervals"). Apart: 0 lies outside of its 99 % interval. A better: for so many queries '
        "A has the higher AP."
    )
    if len(comparison.seeds) == 1:
        yield "One seed: nothing is known of how much a training varies."
    else:
        yield "Several seeds: per query the mean over them."
    if comparison.left_out:
        yield (f"Left out, since one of the two lacks it: {', '.join(comparison.left_out)}.")


def lists(
    comparison: Comparison, kept: Mapping[int, Pictured], queries: int
) -> Iterator[tuple[str, Sequence[int]]]:
    """The lists of queries: a sentence above each, and their places."""
    judged = comparison.judged
    where = "in the worst case" if comparison.attacked else "without an attack"
    most = judged.most_different(queries)
    if not queries:
        return
    if not most:
        yield f"No query differs {where}.", ()
        return
    yield f"Where they differ most {where} (AP in percent, queries counted from 0):", most
    if not kept:
        yield (
            (
                "No pictures were kept of these cells: the run's own command with --keep-images N "
                "makes them, of the first N queries."
            ),
            (),
        )
    elif not set(most) <= kept.keys():
        among = judged.most_different(queries, list(kept))
        if among:
            yield f"Where they differ most among the {len(kept)} queries with pictures:", among
        else:
            yield f"The {len(kept)} queries with pictures do not differ.", ()


def named(attack: str) -> str:
    """The name of a line."""
    return {"none": "clean", "worst-case": "worst case"}.get(attack, attack)


def percent(share: float) -> str:
    """As tables print it."""
    return f"{100 * share:.1f}"


def signed(share: float) -> str:
    """The same of a difference; nothing is neither more nor less than 0."""
    text = f"{100 * share:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text


def _say(screen: TextConsole, words: str, style: str = "") -> None:
    print_trimmed(screen, Text(shown(words), style=style, overflow="fold"))


def _draw(
    screen: TextConsole, header: Sequence[str], rows: Sequence[Sequence[str]], names: int
) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for place, head in enumerate(header):
        is_name = place < names
        table.add_column(
            head,
            justify="left" if is_name else "right",
            no_wrap=not is_name,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(shown(field)) for field in row))
    print_trimmed(screen, table)
