"""An attack whose steps cannot reach the radius is named with the rows that it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hashbench import plugins
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.text.notes import notes_on
from hashbench.runner.suite import compose

SENTENCE = (
    "pgd-hamming:steps=10 on none, saat cannot reach the radius: its 10 steps move a pixel by "
    "10/255 at most, and 24/255 is allowed. More steps, or larger ones, may leave less."
)


def sentences(book: Any) -> list[str]:
    return [
        note
        for board in leaderboards(book.results())
        for note in notes_on(board)
        if "cannot reach" in note
    ]


def filled(book: Any, attack: str, reach: Mapping[str, float | None]) -> Any:
    for defense, far in reach.items():
        book.clean(defense, 0.7)
        book.attacked(defense, "noise", 0.65)
        book.attacked(defense, attack, 0.4, reach=far)
    return book


def test_the_rows_and_the_figures_are_named(book: Any) -> None:
    reach = {"none": 10 / 255, "saat": 10 / 255, "cgat": 24 / 255, "jpeg": None}
    assert sentences(filled(book, "pgd-hamming:steps=10", reach)) == [SENTENCE]


@pytest.mark.parametrize(
    ("reach", "is_said"),
    [
        (None, False),  # an older plan, or nothing that bounds it
        (sum([1 / 255] * 24), False),  # a sum of floats, off by the last bit
        (24 / 255, False),
        (23.99 / 255, True),
        (0.0, True),
    ],
)
def test_just_short_of_the_radius(book: Any, reach: float | None, is_said: bool) -> None:
    assert bool(sentences(filled(book, "hag:steps=3", {"none": reach}))) is is_said


@pytest.mark.parametrize("name", ["quick", "controls", "transformations", "cifar10-lite"])
def test_no_attack_of_a_shipped_suite_falls_short(name: str) -> None:
    suite = compose(name, {})
    for eps in suite.eps:
        for spec in suite.attack:
            attack: Any = plugins.get("attack", str(spec))
            reach = attack.reach_of_steps(float(eps), 2000)
            assert reach is None or reach >= float(eps) * (1 - 1e-9), (spec, eps)
