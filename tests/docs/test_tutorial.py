"""docs/tutorial.md from its first line to its last: its files, its commands, and what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hashbench
from support.following import PREPARED, Place, follow, new_place
from support.pages import DOCS, README, blocks

PAGE = DOCS / "tutorial.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return new_place(tmp_path_factory.mktemp("tutorial"))


def tables() -> list[list[str]]:
    """The indented tables of the page, line by line."""
    found = re.findall(r"(?:^    .*\n)+", PAGE.read_text(), re.MULTILINE)
    without_code = re.sub(r"^```.*?^```$", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [
        [line.strip() for line in block.splitlines()] for block in found if block in without_code
    ]


def whole(rows: list[str]) -> list[str]:
    """Rows with what was broken off their names put back."""
    found: list[str] = []
    for row in rows:
        if re.split(r" {2,}", row)[1:] or set(row) == {"─"}:
            found.append(row)
        else:
            rank, name, *rest = re.split(r" {2,}", found.pop())
            found.append("  ".join([rank, name + row, *rest]))
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_from_its_first_line_to_its_last(place: Place) -> None:
    assert follow(blocks(PAGE), place) >= 15
    folder = place.folder
    board = hashbench.load_results(folder / "results").leaderboard()
    # Every row and every column of the page's tables is one of the folder that it made.
    for header, _, *rows in tables():
        columns = set(re.split(r" {2,}", header)) - {"#", "floor"}
        assert columns <= set(board.columns)
        for row in whole(rows):
            name = re.split(r" {2,}", row)[1]
            (line,) = board[board["defense"] == name].to_dict("records")
            # Of small models on little data less may be proven than the page shows, or nothing.
            shown = columns - {"certified"}
            assert all(line[column] == line[column] for column in shown), "a number is missing"
    assert "few-steps:steps=40" in (folder / "results.csv").read_text()
    assert "few-steps" in (folder / "report.md").read_text()
    assert any((folder / "pictures").rglob("*.png"))
    assert (folder / "results/plots").is_dir()


def test_the_numbers_of_the_first_table_are_those_of_the_readme() -> None:
    shown = README.read_text()
    first, *_ = tables()
    assert len(whole(first)) == 6
    for line in first:
        assert any(said.strip().startswith(line) for said in shown.splitlines())


def test_make_demo_is_what_the_makefile_says() -> None:
    commands = PREPARED["make demo"]
    assert commands[0].startswith("hashbench run --out results")
    assert commands[-1] == "hashbench report results"
    assert not any("$" in line for line in commands)


def test_nothing_else_of_the_page_is_passed_over() -> None:
    lines = "".join(block.text for block in blocks(PAGE) if block.language == "sh").splitlines()
    others = {line for line in lines if not line.startswith(("hashbench ", "python "))}
    assert others == set(PREPARED)


def test_the_quickstart_is_where_the_page_says() -> None:
    (target,) = re.findall(r"\]\((\S+\.ipynb)\)", PAGE.read_text())
    assert Path(DOCS / target).resolve().name == "quickstart.ipynb"
