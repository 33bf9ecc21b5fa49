"""The pages hold together: an index, links that lead somewhere, every plugin where it belongs."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from hashbench import plugins
from hashbench.defending import Budget
from hashbench.eps import Eps
from hashbench.plugins import Kind, TrainedDefense
from hashbench.plugins.parameters import resolved
from support.package import REPOSITORY
from support.pages import DOCS, README

INDEX = DOCS / "README.md"
PAGES = sorted(DOCS.glob("*.md"))
LINKED = [
    *PAGES,
    *(
        REPOSITORY / name
        for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    ),
    REPOSITORY / "benchmarks/published/README.md",
]

LINK = re.compile(r"(?<!`)\[[^\]\[]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What a link may name behind `#`, as GitHub makes it of the headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return set(plain)


def built_in(kind: Kind) -> list[str]:
    """The plugins of a kind that ship."""
    return [
        name
        for name in plugins.names(kind)
        if type(plugins.get(kind, name)).__module__.startswith("hashbench.")
    ]


def section(page: Path, heading: str) -> str:
    """What stands under a heading, up to the next one of its level."""
    text = prose(page)
    assert f"\n## {heading}\n" in text, f"{page.name} has no section '{heading}'"
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_every_page_is_in_the_index_once_in_an_order() -> None:
    entries = re.findall(r"^(\d+)\. \[(\S+)\]\((\S+)\): ", INDEX.read_text(), re.MULTILINE)
    assert [int(number) for number, _, _ in entries] == list(range(1, len(entries) + 1))
    assert all(text == target for _, text, target in entries)
    assert sorted(name for _, name, _ in entries) == [page.name for page in PAGES if page != INDEX]
    assert "](docs/README.md)" in README.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_ends_with_what_to_read_next(page: Path) -> None:
    last = page.read_text().rstrip().split("\n\n")[-1]
    assert last.startswith("What to read next: ")
    assert LINK.search(last)
    assert f"({page.name})" not in last


def broken_links(page: Path) -> list[str]:
    """Links of a page to files or headings that are not there."""
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading, of it\n\n[here](page.md#a-heading-of-it), [there](#nowhere), [file](no.md)\n"
    )
    assert broken_links(page) == ["#nowhere", "no.md"]


def test_every_attack_is_in_the_table_of_attacks() -> None:
    table = prose(DOCS / "attacks.md").partition("| attack |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    shown = [name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)]
    assert sorted(shown) == sorted(built_in(Kind.ATTACK))


def test_every_defense_is_on_the_page_of_defenses() -> None:
    page = DOCS / "defenses.md"
    table = prose(page).partition("| defense |")[2].partition("\n\n")[0]
    controls = re.findall(r"^\| `([\w-]+)` \|", section(page, "Controls"), re.MULTILINE)
    shown = [*re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE), *controls]
    assert sorted(shown) == sorted(built_in(Kind.DEFENSE))
    assert all(name.startswith("control-") for name in controls)


@pytest.mark.parametrize(
    "name", [name for name in built_in(Kind.DEFENSE) if not name.startswith("control-")]
)
def test_what_the_page_says_of_a_defense_is_so(name: str) -> None:
    said = section(DOCS / "defenses.md", name)
    defense = plugins.get(Kind.DEFENSE, name)
    facts = ("What it does", "Defaults", "ost", "ource", "Trap")  # of `none` several are one line
    assert [fact for fact in facts if fact not in said] == []
    assert all(preset in said for preset in defense.card.presets)
    # Defaults: `key=value` up to where presets begin.
    defaults = said.partition("**Defaults")[2].partition("\n\n")[0].partition("Preset")[0]
    told = dict(re.findall(r"`(\w+)=([^`]+)`", defaults))
    own = {field.name for field in fields(defense) if field.name in type(defense).__annotations__}  # type: ignore[arg-type]
    real = resolved(defense)
    assert told.keys() <= real.keys()
    assert own - {"optimizer", "learning_rate", "square_mask", "empty_memory"} <= told.keys()
    for key, value in told.items():
        assert plugins.get(Kind.DEFENSE, f"{name}:{key}={value}") == defense, key
    # Cost: passes of a training, of an attack.
    if isinstance(defense, TrainedDefense):
        budget = Budget(epochs=1, inner_steps=7, eps=Eps.parse("8/255"))
        passes = {"At most 3 passes": 3, "Inner steps + 2 passes": 7 + 2}
        assert [number for words, number in passes.items() if words in said] == [
            defense.passes(budget)
        ]
    else:
        assert "o training" in said or "no cost" in said
        assert ("ten times" in said) == (getattr(defense, "draws", 1) == 10)


def test_every_extra_is_in_the_readme_and_on_a_page() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].keys() - {"dev"}
    told = README.read_text().partition("\nExtras: ")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", told)) == extras
    pages = "".join(page.read_text() for page in PAGES)
    assert set(re.findall(r"'hashbench\[(\w+)\]'", pages)) == extras


def test_the_readme_says_what_the_names_in_its_table_are() -> None:
    text = README.read_text()
    table, _, after = (
        text.partition("## The table that it prints")[2]
        .partition("## ")[0]
        .partition("\n- **clean**")
    )
    assert after
    rows = re.findall(r"^\d  ([\w-]+)", table, re.MULTILINE)
    # A table of two parts: what has no room stands below.
    assert rows == 2 * ["certified", "cgat", "atrdh", "none"]
    assert all(f"\n- **{name}**: " in table for name in [*rows, "csq"])
