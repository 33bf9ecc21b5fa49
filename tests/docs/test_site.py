"""The site of `make docs`: no warning, every page reached, no link broken, nothing remote."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from typing_extensions import override

from support.api_page import faces
from support.package import REPOSITORY
from support.pages import DOCS

HOOKS = runpy.run_path(str(REPOSITORY / "docs/site/hooks.py"))
CONFIG = (REPOSITORY / "mkdocs.yml").read_text()
NAV = re.findall(r"^ +- .*: (\S+\.md)$", CONFIG.partition("\nnav:\n")[2], re.MULTILINE)

REMOTE = re.compile(r"(https?:)?//", re.IGNORECASE)


@dataclass
class Read(HTMLParser):
    """What a built page names: places inside it, links, and what a browser loads with it."""

    places: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.assets.append(given["href"])
        self.assets += [given[name] for name in ("src", "srcset", "data") if name in given]


def built(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", folder],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = built(REPOSITORY / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr + done.stdout
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Read]:
    found = {}
    for path in site.rglob("*.html"):
        found[path.resolve()] = read = Read()
        read.feed(path.read_text())
    return found


def broken(pages: dict[Path, Read]) -> list[str]:
    """Links and assets of pages that lead to no file or no place in it, or to another host."""
    found = []
    for page, read in pages.items():
        found += [f"{page.name} loads {asset}" for asset in read.assets if REMOTE.match(asset)]
        for link in [*read.links, *read.assets]:
            if re.match(r"[a-z]+:|//", link):
                continue
            name, _, anchor = unquote(link).partition("#")
            there = (page.parent / name).resolve() if name else page
            if there.is_dir():
                there /= "index.html"
            lost = anchor and there in pages and anchor not in pages[there].places
            if lost or not there.is_file():
                found.append(f"{page.name} names {link}")
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    reference = {f"reference/{face}.md" for face in faces()}
    own = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert sorted(NAV) == sorted(own | set(HOOKS["ELSEWHERE"].values()) | reference)


@pytest.mark.slow
def test_every_page_of_the_navigation_is_built(site: Path, pages: dict[Path, Read]) -> None:
    wanted = {(site / name).with_suffix("").resolve() for name in NAV}
    assert {page.with_suffix("") for page in pages} == {
        path.parent / path.name.removesuffix(".md") for path in wanted
    }


@pytest.mark.slow
def test_links_lead_somewhere_and_nothing_comes_from_another_host(
    site: Path, pages: dict[Path, Read]
) -> None:
    assert broken(pages) == []
    for sheet in site.rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(https?:)?//", sheet.read_text()), sheet.name


@pytest.mark.slow
def test_the_search_knows_every_page(site: Path, pages: dict[Path, Read]) -> None:
    index = json.loads((site / "search/search_index.json").read_text())
    known = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {str(page.relative_to(site.resolve())) for page in pages} == known - {""} | {
        "index.html"
    }
    assert any("average_precision" in entry["location"] for entry in index["docs"])


@pytest.mark.slow
@pytest.mark.parametrize("face", faces())
def test_the_reference_has_every_public_name(
    face: str, site: Path, pages: dict[Path, Read]
) -> None:
    from importlib import import_module

    page = (site / "reference" / f"{face}.html").resolve()
    names = [name for name in import_module(face).__all__ if f"{face}.{name}" not in faces()]
    assert [name for name in names if f"{face}.{name}" not in pages[page].places] == []


def test_a_broken_link_an_anchor_and_a_remote_asset_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<p id="here"><a href="#here">x</a><a href="#no">x</a><a href="no.html">x</a>'
        '<script src="https://cdn.example/x.js"></script><img src="no.png">'
        '<a href="https://example.com">x</a></p>'
    )
    read = Read()
    read.feed(page.read_text())
    assert broken({page.resolve(): read}) == [
        "page.html loads https://cdn.example/x.js",
        "page.html names #no",
        "page.html names no.html",
        "page.html names no.png",
    ]


@pytest.mark.slow
def test_a_warning_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# A page\n\n[nowhere](no.md)\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"site_name: x\n{validation()}")
    done = built(config, tmp_path / "out")
    assert done.returncode == 1
    assert "no.md" in done.stderr


def validation() -> str:
    """What the site's own settings say of links."""
    return "validation:" + CONFIG.partition("\nvalidation:")[2].partition("\nnav:")[0]


@pytest.mark.parametrize(
    ("page", "text", "wanted"),
    [
        ("models.md", "[a](../SECURITY.md)", "[a](security.md)"),
        ("models.md", "[a](../README.md#two-commands)", "[a](index.md#two-commands)"),
        ("models.md", "[a](data.md#tables)", "[a](data.md#tables)"),
        ("published.md", "[a](../benchmarks/published/README.md)", "[a](published-files.md)"),
        ("published-files.md", "[a](../../docs/published.md)", "[a](published.md)"),
        ("index.md", "[a](docs/README.md)", "[a](contents.md)"),
        ("contents.md", "[a](../README.md), [b](data.md)", "[a](index.md), [b](data.md)"),
        ("index.md", "![a](docs/images/eps-sweep.png)", "![a](images/eps-sweep.png)"),
        ("index.md", '<img src="docs/images/eps-sweep.png">', '<img src="images/eps-sweep.png">'),
        (
            "index.md",
            "[a](benchmarks/suites/quick.toml)",
            "[a](files/benchmarks/suites/quick.toml)",
        ),
        ("index.md", "`[a](docs/README.md)`", "`[a](docs/README.md)`"),
        ("index.md", "```\n[a](docs/README.md)\n```", "```\n[a](docs/README.md)\n```"),
        ("index.md", "`a` [a](docs/README.md) `b`", "`a` [a](contents.md) `b`"),
        ("index.md", "[a](https://example.com)", "[a](https://example.com)"),
        ("index.md", "[a](#here), [b](no.md)", "[a](#here), [b](no.md)"),
    ],
)
def test_links_are_written_anew(page: str, text: str, wanted: str) -> None:
    relinked: Any = HOOKS["relinked"]
    assert relinked(text, page) == wanted


def test_make_and_the_checks_of_every_commit_build_it() -> None:
    assert "mkdocs build --quiet --strict" in (REPOSITORY / "Makefile").read_text()
    assert "\nmake docs\n" in (REPOSITORY / ".ci/run").read_text()
