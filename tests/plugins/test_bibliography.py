"""The bibliography: every source that a card names is there, and what it writes is BibTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
import unicodedata
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench import plugins
from hashbench.plugins import Card, Kind
from hashbench.plugins.bibliography import (
    Reference,
    bibliography,
    by_key,
    cited,
    measure,
    references,
    software,
)
from hashbench.plugins.bibtex import names_of, read_entries
from hashbench.plugins.catalog import own_plugins
from hashbench.plugins.latex import from_latex, to_latex
from support.package import REPOSITORY

TABLE = tomllib.loads((REPOSITORY / "hashbench/plugins/references.toml").read_text())

OWN = [(kind, one.name) for kind in Kind for one in own_plugins(kind)]

NO_PAPER = {("dataset", "csv")}
"""A layout that nobody published; its card says where it is met."""

SILENT = {("attack", "auto")}
"""Made of parts that have sources, though its card, which is part of stored keys, names none."""

NEEDED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "techreport": {"author", "title", "institution", "year"},
    "mastersthesis": {"author", "title", "school", "year"},
    "misc": {"author", "title"},
}
"""What BibTeX's own styles ask of each kind of entry."""


def card_of(kind: Kind, name: str) -> Card:
    return plugins.registry(kind).find(kind, name).plugin.card


def carded(cite: str) -> Card:
    return Card(Kind.ATTACK, "mine", "An attack.", cite=cite)


@pytest.mark.parametrize(("kind", "name"), OWN)
def test_a_plugin_has_references_where_its_card_cites(kind: Kind, name: str) -> None:
    card, found = card_of(kind, name), references(kind, name)
    if (kind, name) in SILENT:
        assert not card.cite
        assert found
    else:
        assert bool(found) == (bool(card.cite) and (kind, name) not in NO_PAPER)
    # Surnames, years and addresses of the card are those of the entries.
    if not found:
        return
    said = " ".join(f"{one.words} {one.bibtex} {one.url}" for one in found)
    for year in re.findall(r"\b(?:19|20)\d\d\b", card.cite):
        assert year in said
    surnames = re.findall(r"(\w[\w-]+) (?:et al\.|and (\w+),)", card.cite)
    for surname in [name for pair in surnames for name in pair if name]:
        assert surname in said, surname
    for address in re.findall(r"https://arxiv\.org/abs/[\d.]+\d", card.cite):
        assert address in said


def test_the_table_names_what_there_is_and_every_entry_is_used() -> None:
    told = {(kind, name) for kind, names in TABLE["plugins"].items() for name in names}
    assert told <= {(str(kind), name) for kind, name in OWN}
    used = {key for names in TABLE["plugins"].values() for keys in names.values() for key in keys}
    assert used | {"hashbench", "mcsherry2008ties"} == set(TABLE["entries"])
    for names in TABLE["plugins"].values():
        for keys in names.values():
            assert len(keys) == len(set(keys)) > 0


@pytest.mark.parametrize("key", sorted(TABLE["entries"]))
def test_an_entry_is_bibtex_of_what_the_table_says(key: str) -> None:
    table, reference = TABLE["entries"][key], by_key()[key]
    (entry,) = read_entries(reference.bibtex)
    assert entry.key == reference.key == key
    assert reference.bibtex == entry.text
    assert reference.bibtex.isascii()
    assert reference.bibtex.count("{") == reference.bibtex.count("}")
    assert NEEDED[entry.kind] <= entry.fields.keys()
    assert all(value.strip() == value != "" for value in entry.fields.values())
    assert entry.plain("title") == table["title"]
    people = [from_latex(name) for name in names_of(entry.fields["author"])]
    assert people == [name.strip("{}") for name in table["authors"]]
    assert entry.url == reference.url
    assert set(table) <= {
        "kind", "authors", "title", "in", "short", "year", "arxiv", "doi", "url", "pages",
        "volume", "number", "note",
    }  # fmt: skip
    if "year" in table:
        assert f", {table['year']}." in reference.words
        if re.search(r"\d{4}", key):
            assert str(table["year"]) in key
    if "pages" in table:
        first, last = map(int, table["pages"].split("-"))
        assert first < last
    if "arxiv" in table:  # numbers begin with year and month of the first version
        assert re.fullmatch(r"\d{4}\.\d{4,5}", table["arxiv"])
        assert 2000 + int(table["arxiv"][:2]) <= table["year"]
    if "doi" in table:
        assert table["doi"].startswith("10.")
    if not key.startswith("hashbench"):
        surname = table["authors"][0].strip("{}").split()[-1]
        first_word = table["authors"][0].strip("{}").split()[0]
        letters = {re.sub(r"\W", "", word).lower() for word in (surname, first_word)}
        assert any(key.startswith(word[:6]) for word in letters) or key == "deephashpytorch"


def test_hashbench_is_cited_in_its_version() -> None:
    (entry,) = read_entries(software().bibtex)
    assert entry.plain("note") == f"Version {version('hashbench')}"
    assert version("hashbench") in software().words
    assert "Tied Scores" in measure().words


def test_a_plugin_that_is_not_there_has_none() -> None:
    for name in ("no-such", "", "a/b", "worst-case", "\x1b[2J"):
        assert references(Kind.ATTACK, name) == ()


# -- what other authors write


def test_words_become_a_note() -> None:
    (one,) = cited(carded("  Me & you_, 2031\n(see https://a.org/x_y%20z).  "))
    (entry,) = read_entries(one.bibtex)
    assert (entry.kind, entry.key) == ("misc", "attack-mine")
    assert entry.fields["note"] == r"Me \& you\_, 2031 (see https://a.org/x\_y\%20z)."
    assert entry.plain("note") == one.words == "Me & you_, 2031 (see https://a.org/x_y%20z)."
    assert one.url == entry.url == "https://a.org/x_y%20z"


def test_an_address_is_where_it_is_published() -> None:
    (one,) = cited(carded("https://a.org/~me/x_y"))
    (entry,) = read_entries(one.bibtex)
    assert entry.fields["howpublished"] == r"\url{https://a.org/~me/x_y}"
    assert one.url == entry.url == one.words == "https://a.org/~me/x_y"


def test_a_key_of_ours_is_our_entry() -> None:
    assert cited(carded("wang2023cgat")) == (by_key()["wang2023cgat"],)
    (other,) = cited(carded("wang2099nothing"))
    assert other.key == "attack-mine"


def test_bibtex_is_handed_on() -> None:
    text = r"""
    @InProceedings{me:2030,
      author = "M{\"u}ller, Zo\'e and {The Group and Others} and J.~Doe",
      title = {On {ResNet}s \& More --- a {\ss}tudy}, Year = 2030,
      booktitle = {Proc. of X}, doi = {10.1/a_b}
    }
    @misc{second, title = {B}, url = {https://b.org/~x}}
    """
    one, two = cited(carded(text))
    assert one.key == "me:2030"
    assert one.words == (
        "Zoé Müller, The Group and Others, J. Doe. On ResNets & More — a ßtudy. Proc. of X, 2030."
    )
    assert one.url == "https://doi.org/10.1/a_b"
    assert read_entries(one.bibtex)[0].fields["year"] == "2030"
    assert (two.words, two.url) == ("B.", "https://b.org/~x")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("@misc{a, title = {x}", "expected ','"),
        ("@misc{a, title = {x}}}", "expected '@'"),
        ("@misc{a, title = {x}} and words", "expected '@'"),
        ("@misc{, title = {x}}", "the key"),
        ("@misc{a, title = {x}\n, title = {y}}", "line 2: expected the field 'title' once"),
        ("@misc{a, title = x}", "a value in braces"),
        ('@misc{a, title = "x{}', "braces that balance"),
        ('@misc{a, title = "x}"}', "braces that balance"),
        ("@string{a = {x}}", "not @string"),
        ("@misc{a, title = {x}} @misc{a, title = {y}}", "two entries"),
        ("@", "the kind"),
    ],
)
def test_what_is_no_bibtex_is_told_and_kept_as_words(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)):
        read_entries(text)
    (one,) = cited(carded(text))
    assert read_entries(one.bibtex)[0].key == "attack-mine"


@given(st.text(st.characters(codec="utf-8")))
def test_whatever_a_card_says_is_an_entry_whose_braces_balance(text: str) -> None:
    for one in cited(carded(text)):
        (entry,) = read_entries(one.bibtex)
        assert entry.key == one.key
        assert not any(unicodedata.category(letter) == "Cc" for letter in one.words)


@given(st.text(st.sampled_from("aZ éüñçşøßłÅœžőąĭ{}\\&%$#_~^<>.,")))
def test_letters_survive_latex(text: str) -> None:
    assert from_latex(to_latex(text)) == unicodedata.normalize("NFC", text)


def test_accents_are_written_in_ascii() -> None:
    assert to_latex("Dollár, Cissé & Ößgür") == (
        r"Doll{\'{a}}r, Ciss{\'{e}} \& {\"{O}}{\ss}g{\"{u}}r"
    )
    assert from_latex(r"Doll\'ar, \v{S}koda, \c c, {\o}re, \'{\i}") == "Dollár, Škoda, ç, øre, í"
    assert to_latex("山田") == "山田"


def test_a_key_of_two_sources_stays_with_the_first() -> None:
    def entry(title: str) -> Reference:
        return Reference("k", title, f"@misc{{k,\n  title = {{{title}}},\n}}\n")

    together = bibliography([[entry("a")], [entry("b"), entry("a")], [entry("b"), entry("c")]])
    assert [(one.key, one.words) for one in together] == [("k", "a"), ("k-2", "b"), ("k-3", "c")]
    assert [read_entries(one.bibtex)[0].key for one in together] == ["k", "k-2", "k-3"]


@pytest.mark.skipif(
    shutil.which("bibtex") is None or shutil.which("pdflatex") is None, reason="no LaTeX here"
)
def test_latex_takes_all_of_it(tmp_path: Path) -> None:
    words, address = "100% {me} \\ #1 ~ ^ <a_b> & $x$ é", "https://a.org/~me/x_y%20z?a=1&b=2#c"
    groups = (by_key().values(), cited(carded(words)), cited(carded(address)))
    everything = bibliography(groups)
    assert len(everything) == len(by_key()) + 2
    (tmp_path / "r.bib").write_text("\n".join(f"% x\n{one.bibtex}" for one in everything))
    (tmp_path / "p.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{url}\begin{document}"
        r"\nocite{*}\bibliographystyle{plain}\bibliography{r}\end{document}"
    )
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "p.tex"]
    for command in (latex, ["bibtex", "p"], latex, latex):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        if command[0] == "bibtex":
            assert "Warning" not in done.stdout, done.stdout
    assert (tmp_path / "p.bbl").read_text().count(r"\bibitem") == len(everything)
