"""Cells: a radius is told apart by its spelling, sorted by it, and compared as a number."""

from __future__ import annotations

import enum
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashbench
from hashbench.records import read
from hashbench.results.cell import Cell, Status

ROOT = Path(__file__).resolve().parents[2]
CELL = Cell("tiny", "csq", "small-cnn", 8, "none", "hag", "8/255", 0, "5" * 64, "7" * 64)


def test_two_spellings_are_two_cells_of_one_radius() -> None:
    half, other = replace(CELL, eps="16/510"), replace(CELL, eps="0.031")
    assert len({CELL, half, other}) == 3
    assert CELL.radius == half.radius
    assert CELL.radius != other.radius
    assert [str(cell.radius) for cell in (CELL, half, other)] == ["8/255", "16/510", "0.031"]
    # As text: what stands in a CSV keeps its place.
    assert sorted([CELL, half, other, replace(CELL, eps="24/255")]) == [
        other,
        half,
        replace(CELL, eps="24/255"),
        CELL,
    ]


@given(st.text(max_size=5), st.integers())
def test_a_cell_is_read_back(defense: str, seed: int) -> None:
    cell = replace(CELL, defense=defense, seed=seed)
    assert read(Cell, asdict(cell), "plan") == cell


def test_a_radius_is_parsed_where_it_is_at_home() -> None:
    """Results and reports read `Cell.radius`, `Group.radius` and `MatchCell.radius`.

    Papers' numbers have their own; a choice of plots is typed, and commands are made of words. The
    axis of matches ends at a radius that was found: a number, and no text.
    """
    found = {
        path.relative_to(ROOT).as_posix()
        for room in ("hashbench/results", "reports")
        for path in (ROOT / room).rglob("*.py")
        if "Eps.parse(" in path.read_text()
    }
    assert found == {
        "hashbench/results/cell.py",
        "hashbench/results/matches/results.py",
        "reports/board/leaderboard.py",
        "reports/matches/curves.py",
        "reports/papers/published.py",
        "reports/plots/choice.py",
        "reports/text/reproduce.py",
    }


NOT_STORED = {
    "State": "what the doctor prints",
    "Tone": "how a report colours a field",
    "Verdict": "what the conformance kit prints",
    "Why": "what `hashbench store` prints",
}


def enums() -> Iterator[type[enum.Enum]]:
    """Every enum of the product whose members are texts."""
    for room in ("", ".attacks", ".defenses", ".reports"):
        package = importlib.import_module(f"hashbench{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    waiting = [enum.Enum]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.split(".")[0] == hashbench.__name__ and issubclass(kind, str):
                yield kind


@pytest.mark.filterwarnings("ignore:hashbench.* the old name goes with:DeprecationWarning")
def test_what_is_stored_of_an_enum_is_a_short_code() -> None:
    found = list(enums())
    names = {kind.__name__ for kind in found}
    assert {"Access", "Knowledge", "Aim", "Status", "Metric", "Ties"} <= names
    assert names >= NOT_STORED.keys()
    for kind in found:
        for member in kind if kind.__name__ not in NOT_STORED else ():
            # Beside `certified_map`, which the CSV has: those of a certificate are written alike.
            name = member.value.removeprefix("certified_")
            assert re.fullmatch(r"[a-z0-9-]{1,30}(@1)?", name), f"{kind}: {member.value}"


def test_a_status_is_a_code_and_prints_as_the_csv_always_did() -> None:
    assert {status.value: status.words for status in Status} == {
        "done": "done",
        "failed": "failed",
        "not-run": "not run",
    }
