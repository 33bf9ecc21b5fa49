"""The page that `hashbench explain -o` writes, and the pictures as files: HTML, nothing remote."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from hashbench.characters import shown
from hashbench.cli.explain_text import (
    COLUMNS,
    QUERY_COLUMNS,
    line,
    lists,
    named,
    percent,
    query_line,
    sentences,
    title,
)

if TYPE_CHECKING:
    from hashbench.results.contrast import Comparison, Pictured
    from hashbench.results.gallery import Exhibit, Hit

    Found = Sequence[tuple[Comparison, Mapping[int, Pictured]]]

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; }
figure { display: inline-block; margin: 0.3rem; vertical-align: top; }
figcaption { font-size: 0.8rem; max-width: 9rem; }
img { width: 7rem; image-rendering: pixelated; border: 4px solid transparent; }
.hits img { width: 4.5rem; }
img.relevant { border: 4px solid #2a7; }
"""


def page_of(found: Found, queries: int) -> str:
    """A whole page: the tables that are printed, and the pictures.

    Args:
        found: comparisons, each with the queries that there are pictures of, by place.
        queries: how many queries to name at most.
    """
    first, _ = found[0]
    head = f"{first.first} and {first.second}"
    body = "".join("".join(_section(one, kept, queries)) for one, kept in found)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(head)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{_text(head)}</h1>{body}</body></html>\n"
    )


def pictures_of(found: Found) -> dict[str, bytes]:
    """The same pictures as files: contents by name, a folder for each table if there are several.

    Args:
        found: see `page_of`.
    """
    files: dict[str, bytes] = {}
    for place, (_, kept) in enumerate(found):
        folder = f"table-{place + 1}/" if len(found) > 1 else ""
        for query, one in kept.items():
            for side, pair in (("a", one.first), ("b", one.second)):
                if pair is not None:
                    _, exhibit = pair
                    name = f"{folder}query-{query:05}"
                    files[f"{name}-clean.png"] = exhibit.clean
                    files[f"{name}-{side}-attacked.png"] = exhibit.attacked
                    files[f"{name}-{side}-change.png"] = exhibit.change
    return files


def _section(comparison: Comparison, kept: Mapping[int, Pictured], queries: int) -> Iterator[str]:
    yield f"<section><h2>{_text(title(comparison))}</h2>"
    yield f"<p>A: {_text(comparison.first)}<br>B: {_text(comparison.second)}</p>"
    yield _table(COLUMNS, map(line, comparison.contrasts))
    yield "".join(f"<p>{_text(sentence)}</p>" for sentence in sentences(comparison))
    drawn: set[int] = set()
    for head, places in lists(comparison, kept, queries):
        yield f"<p>{_text(head)}</p>"
        if places:
            rows = [query_line(comparison.judged, place, kept) for place in places]
            yield _table(QUERY_COLUMNS, rows)
        for place in places:
            if place in kept and place not in drawn:
                drawn.add(place)
                yield from _query(kept[place])
    yield "</section>"


def _query(one: Pictured) -> Iterator[str]:
    labels = ", ".join(one.labels) or "no label"
    yield f"<h3>Query {one.query}: {_text(labels)}</h3>"
    for side, pair in (("A", one.first), ("B", one.second)):
        if pair is None:
            yield f"<p>{side}: no picture was kept.</p>"
        else:
            yield from _side(side, *pair)


def _side(side: str, attack: str, exhibit: Exhibit) -> Iterator[str]:
    before, after = exhibit.precision
    said = (
        f"{side} under {named(attack)}: AP {percent(before)} without the attack, {percent(after)} "
        "with it"
    )
    yield f"<p>{_text(said)}</p>"
    yield _figure(exhibit.clean, f"query {exhibit.query}, clean")
    yield _figure(exhibit.attacked, f"query {exhibit.query}, attacked")
    yield _figure(exhibit.change, f"what changed, {exhibit.factor} times as large")
    for head, hits in (("before", exhibit.before), ("after", exhibit.after)):
        yield f'<div class="hits"><p>The nearest {head} the attack, relevant ones framed:</p>'
        yield "".join(map(_hit, hits))
        yield "</div>"


def _hit(hit: Hit) -> str:
    what = "relevant" if hit.relevant else "not relevant"
    labels = ", ".join(hit.labels) or "no label"
    words = f"{labels}; {what}, distance {hit.distance}"
    return _figure(hit.image, words, "relevant" if hit.relevant else "")


def _figure(image: bytes, words: str, kind: str = "") -> str:
    source = b64encode(image).decode()
    named_class = f' class="{kind}"' if kind else ""
    return (
        f'<figure><img{named_class} src="data:image/png;base64,{source}" alt="{_text(words)}">'
        f"<figcaption>{_text(words)}</figcaption></figure>"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(one)}</th>" for one in header)
    body = "".join(f"<tr>{''.join(f'<td>{_text(one)}</td>' for one in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    return html.escape(shown(text))
