"""BibTeX: entries written, and those that authors of plugins wrote read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hashbench.plugins.latex import from_latex

_KEY: Final = re.compile(r"[^\s,{}\"#%'()=\\~@]+")
_WORD: Final = re.compile(r"[A-Za-z][\w-]*")
_BLANKS: Final = re.compile(r"\s*")
_NO_ENTRIES: Final = ("comment", "string", "preamble")


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        kind: `inproceedings`, `article`, ..., in small letters.
        key: as it is cited.
        fields: by name in small letters, as LaTeX without the outer braces; in their order.
    """

    kind: str
    key: str
    fields: Mapping[str, str]

    @property
    def text(self) -> str:
        """The entry as BibTeX, a field on each line."""
        lines = [f"  {name} = {{{value}}},\n" for name, value in self.fields.items()]
        return f"@{self.kind}{{{self.key},\n{''.join(lines)}}}\n"

    def plain(self, name: str) -> str:
        """A field as people read it, on one line; empty where there is none."""
        return " ".join(from_latex(self.fields.get(name, "")).split())

    @property
    def url(self) -> str:
        """Where it is found; empty where no field says."""
        if doi := self._verbatim("doi"):
            return doi if doi.startswith("http") else f"https://doi.org/{doi}"
        if url := self._verbatim("url"):
            return url
        eprint, archive = self.plain("eprint"), self.plain("archiveprefix").lower()
        return f"https://arxiv.org/abs/{eprint}" if eprint and archive == "arxiv" else ""

    def _verbatim(self, name: str) -> str:
        """An address: what LaTeX makes of other texts, such as a blank of `~`, is itself here."""
        text = re.sub(r"^\\url\{(.*)\}$", r"\1", self.fields.get(name, "").strip())
        return re.sub(r"\\([_%&#~])", r"\1", text)


def read_entries(text: str) -> tuple[Entry, ...]:
    """All entries of a text that holds nothing else.

    Args:
        text: braces and quotation marks have to balance; abbreviations (`@string`, a value without
            braces that is no number, `#`) are not known here.

    Raises:
        ValueError: it is no BibTeX; says what is wrong at which line.
    """
    return _Reader(text).entries()


def names_of(authors: str) -> tuple[str, ...]:
    """The names of a field, as LaTeX; an `and` inside braces belongs to a name."""
    names, depth = [""], 0
    for word in authors.split():
        if word.lower() == "and" and depth == 0:
            names.append("")
            continue
        depth += word.count("{") - word.count("}")
        names[-1] = f"{names[-1]} {word}".strip()
    return tuple(name for name in names if name)


@dataclass
class _Reader:
    text: str
    at: int = 0

    def entries(self) -> tuple[Entry, ...]:
        found: list[Entry] = []
        self._blanks()
        while self.at < len(self.text):
            found.append(self._entry())
            self._blanks()
        keys = [entry.key for entry in found]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"two entries have the key '{key}'")
        return tuple(found)

    def _entry(self) -> Entry:
        self._take("@")
        kind = self._match(_WORD, "the kind of an entry").lower()
        if kind in _NO_ENTRIES:
            raise self._wrong(f"an entry, not @{kind}")
        self._take("{")
        key = self._match(_KEY, "the key of an entry")
        fields: dict[str, str] = {}
        while self._goes_on():
            name = self._match(_WORD, "the name of a field").lower()
            if name in fields:
                raise self._wrong(f"the field '{name}' once")
            self._take("=")
            fields[name] = self._value()
        return Entry(kind, key, fields)

    def _goes_on(self) -> bool:
        """Whether another field follows; takes what stands between or closes."""
        if self._taken("}"):
            return False
        self._take(",")
        return not self._taken("}")

    def _value(self) -> str:
        self._blanks()
        if (number := re.compile(r"\d+").match(self.text, self.at)) is not None:
            self.at = number.end()
            return number[0]
        opening = self.text[self.at : self.at + 1]
        if opening not in ("{", '"'):
            raise self._wrong("a value in braces or quotation marks, or a number")
        start, depth = self.at + 1, 0
        for place in range(start, len(self.text)):
            one = self.text[place]
            if depth == 0 and one == ("}" if opening == "{" else '"'):
                self.at = place + 1
                return self.text[start:place]
            depth += (one == "{") - (one == "}")
            if depth < 0:
                break
        raise self._wrong("braces that balance")

    def _match(self, pattern: re.Pattern[str], what: str) -> str:
        self._blanks()
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self._wrong(what)
        self.at = found.end()
        return found[0]

    def _take(self, mark: str) -> None:
        if not self._taken(mark):
            raise self._wrong(f"'{mark}'")

    def _taken(self, mark: str) -> bool:
        self._blanks()
        there = self.text.startswith(mark, self.at)
        self.at += len(mark) * there
        return there

    def _blanks(self) -> None:
        blanks = _BLANKS.match(self.text, self.at)
        self.at = self.at if blanks is None else blanks.end()

    def _wrong(self, expected: str) -> ValueError:
        line = self.text.count("\n", 0, self.at) + 1
        return ValueError(f"line {line}: expected {expected}")
