"""What plugins are built on, as a paper cites it: references by plugin, and their BibTeX.

The sources of hashbench's own plugins are in `references.toml`, so that they are told without an
import of the plugins; those of others are what their cards say.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

from hashbench.characters import shown
from hashbench.errors import UsageError
from hashbench.plugins.bibtex import Entry, names_of, read_entries
from hashbench.plugins.card import Card
from hashbench.plugins.catalog import own_plugins
from hashbench.plugins.kinds import Kind
from hashbench.plugins.latex import from_latex, to_latex
from hashbench.plugins.lookup import registry_with

SOFTWARE: Final = "hashbench"
"""The key of hashbench itself."""

MEASURE: Final = "mcsherry2008ties"
"""The key of what every number rests on: average precision over all orders of ties."""

_MOST_AUTHORS: Final = 3
"""So many are named in words; of more, the first."""

_URL: Final = re.compile(r"https?://[^\s{}\\\"<>|^`]*[^\s{}\\\"<>|^`.,;:!?)\]']")


@dataclass(frozen=True)
class Reference:
    """One source.

    Attributes:
        key: as it is cited, `wang2023cgat`.
        words: in one line for people: authors, title, venue, year.
        bibtex: the whole entry.
        url: where it is found; empty where nowhere.
    """

    key: str
    words: str
    bibtex: str
    url: str = ""


def references(kind: Kind, name: str) -> tuple[Reference, ...]:
    """What a plugin is built on, the method's own source first.

    Of a plugin of others it is what its card cites: BibTeX as it stands there, a key of hashbench's
    own bibliography, or else a note of the same words.

    Args:
        kind: of the plugin.
        name: its name, without parameters.

    Returns:
        Nothing for a plugin that cites nothing, is broken or is not there: results may be of a
        plugin that is not installed.
    """
    keys = _tables()["plugins"].get(kind.value, {}).get(name)
    if keys is not None:
        return tuple(by_key()[key] for key in keys)
    if any(listed.name == name for listed in own_plugins(kind)):
        return ()
    try:
        card = registry_with(name, kind).find(kind, name).plugin.card
    except UsageError:
        return ()
    return cited(card)


def cited(card: Card) -> tuple[Reference, ...]:
    """The references of what a card cites.

    Args:
        card: of a plugin of any author; its `cite` may be BibTeX, a key, an address, any words.
    """
    text = card.cite.strip()
    if not text:
        return ()
    if text in by_key():
        return (by_key()[text],)
    try:
        entries = read_entries(text) if text.startswith("@") else ()
    except ValueError:
        entries = ()
    if entries:
        return tuple(_reference(entry) for entry in entries)
    line = " ".join(shown(text, keep="\n").split())
    url = found[0] if (found := _URL.search(line)) is not None else ""
    # It has no author: BibTeX sorts it by `key`.
    fields = {"key": to_latex(card.name), "title": f"{{{to_latex(card.name)}}}"}
    if line == url:
        fields |= {"howpublished": f"\\url{{{url}}}", "url": url}
    else:
        fields |= {"note": to_latex(line)} | ({"url": url} if url else {})
    entry = Entry("misc", f"{card.kind}-{card.name}", fields)
    return (Reference(entry.key, line, entry.text, url),)


def software() -> Reference:
    """Hashbench itself, in the version that is installed."""
    entry = _entry(SOFTWARE, _tables()["entries"][SOFTWARE])
    number = version("hashbench")
    fields = {**entry.fields, "note": f"Version {to_latex(number)}"}
    words = f"{by_key()[SOFTWARE].words} Version {number}."
    return replace(_reference(replace(entry, fields=fields)), words=words)


def measure() -> Reference:
    """The source of the measure: what a number means where distances tie."""
    return by_key()[MEASURE]


@cache
def by_key() -> Mapping[str, Reference]:
    """All sources of what ships, by their keys."""
    found = {}
    for key, table in _tables()["entries"].items():
        entry = _entry(key, table)
        words = _words(entry, table["short"])
        found[key] = Reference(key, words, entry.text, entry.url)
    return found


def bibliography(groups: Iterable[Iterable[Reference]]) -> tuple[Reference, ...]:
    """Every reference once, in the order in which they come.

    Where two authors of plugins took one key for different sources, the later one gets a letter
    behind it, so that one file can hold both.

    Args:
        groups: the references of some plugins.
    """
    kept: dict[str, Reference] = {}
    for reference in (one for group in groups for one in group):
        for key in _free(reference.key):
            if key not in kept:
                kept[key] = _renamed(reference, key)
                break
            if kept[key].bibtex == _renamed(reference, key).bibtex:
                break
    return tuple(kept.values())


def _free(key: str) -> Iterable[str]:
    yield key
    number = 2
    while True:
        yield f"{key}-{number}"
        number += 1


def _renamed(reference: Reference, key: str) -> Reference:
    if key == reference.key:
        return reference
    bibtex = reference.bibtex.replace(f"{{{reference.key},", f"{{{key},", 1)
    return replace(reference, key=key, bibtex=bibtex)


@cache
def _tables() -> Mapping[str, Any]:
    path = files("hashbench.plugins") / "references.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _entry(key: str, table: Mapping[str, Any]) -> Entry:
    """An entry of the table; `in` goes where BibTeX wants it of this kind."""
    places = {"article": "journal", "techreport": "institution", "mastersthesis": "school"}
    arxiv, where = table.get("arxiv", ""), table.get("in", "")
    fields = {
        "author": " and ".join(map(_author, table["authors"])),
        "title": f"{{{to_latex(table['title'])}}}",
        places.get(table["kind"], "booktitle"): to_latex(where),
        "year": str(table.get("year", "")),
        **{name: table.get(name, "") for name in ("volume", "number")},
        "pages": table.get("pages", "").replace("-", "--"),
        "doi": table.get("doi", ""),
        "eprint": arxiv,
        "archiveprefix": "arXiv" if arxiv else "",
        "url": table.get("url") or (f"https://arxiv.org/abs/{arxiv}" if arxiv else ""),
        "note": to_latex(table.get("note", "")),
    }
    if table["kind"] == "article" and not where:
        fields["journal"] = f"arXiv preprint arXiv:{arxiv}"
    if table["kind"] == "misc" and fields["url"]:
        fields["howpublished"] = f"\\url{{{fields['url']}}}"
    return Entry(table["kind"], key, {name: value for name, value in fields.items() if value})


def _author(name: str) -> str:
    """A name that stands in braces is an organisation's: BibTeX takes no surname out of it."""
    return f"{{{to_latex(name[1:-1])}}}" if name.startswith("{") else to_latex(name)


def _reference(entry: Entry) -> Reference:
    where = ("journal", "booktitle", "institution", "school", "publisher", "howpublished")
    said = (entry.plain(name) for name in where if r"\url" not in entry.fields.get(name, ""))
    venue = next((words for words in said if words), "")
    return Reference(entry.key, shown(_words(entry, venue)), entry.text, shown(entry.url))


def _words(entry: Entry, venue: str) -> str:
    """`Wang, Lin, Li. CgAT: Center-Guided ... . WWW, 2023.`: what of it there is."""
    place = ", ".join(part for part in (venue, entry.plain("year")) if part)
    parts = (_named(entry.fields.get("author", "")), entry.plain("title"), place)
    return " ".join(part if part[-1] in ".?!" else f"{part}." for part in parts if part)


def _named(authors: str) -> str:
    plain = [" ".join(from_latex(name).split()) for name in names_of(authors)]
    people = [" ".join(reversed(name.split(", ", 1))) for name in plain if name]
    if len(people) > _MOST_AUTHORS or "others" in people:
        return f"{people[0]} et al."
    return ", ".join(people)
