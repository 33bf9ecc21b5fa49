"""docs/reading.md: its examples run, and the numbers in its sentences and tables are theirs."""

from __future__ import annotations

import doctest
import re
from fractions import Fraction
from itertools import permutations

import numpy as np

from hashbench.retrieval import average_precision, center_codes, chance_level
from support.pages import DOCS, blocks

PAGE = DOCS / "reading.md"
TEXT = " ".join(PAGE.read_text().split())

SIGNS = {"+": 1, "-": -1}
PICTURES = re.findall(
    r"^\| ([A-E]) \| `([+-]{4})` \| (\d) \| a (shirt|shoe) \| (yes|no) \|$",
    PAGE.read_text(),
    re.MULTILINE,
)
DATABASE = np.array([[SIGNS[sign] for sign in code] for _, code, *_ in PICTURES])
LABELS = np.array([[shows == "shirt", shows == "shoe"] for *_, shows, _ in PICTURES]).astype(int)
QUERY, SHIRT = np.ones((1, 4)), np.array([[1, 0]])


def by_hand(order: str) -> Fraction:
    """Average precision of an order of pictures, as the page explains it."""
    relevant = {name for name, *_, said in PICTURES if said == "yes"}
    places = [place for place, name in enumerate(order, 1) if name in relevant]
    shares = (Fraction(hits, place) for hits, place in enumerate(places, 1))
    return sum(shares, Fraction()) / len(places)


def rounded(value: Fraction) -> str:
    return f"{float(value):.4f}"


def test_the_examples() -> None:
    text = "\n".join(block.text for block in blocks(PAGE) if block.language == "pycon")
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) >= 12
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_table_of_pictures_is_that_of_the_examples() -> None:
    assert len(PICTURES) == 5
    shown = "".join(block.text for block in blocks(PAGE))
    assert f"database = {DATABASE.tolist()}" in shown
    assert f"labels = {LABELS.tolist()}" in shown
    for (_, _, distance, shows, said), code in zip(PICTURES, DATABASE, strict=True):
        assert int(distance) == (code != QUERY[0]).sum()
        assert (said == "yes") == (shows == "shirt")


def test_orders_ties_and_chance_by_enumeration() -> None:
    best = rounded(by_hand("ACBDE"))
    assert f"A, C, B, D, E they come in places 1, 2 and 5: (1/1 + 2/2 + 3/5) / 3 = {best}" in TEXT
    assert f"(1/1 + 2/3 + 3/5) / 3 = {rounded(by_hand('ABCDE'))}" in TEXT
    expected = (by_hand("ACBDE") + by_hand("ABCDE")) / 2
    assert f"equal distances, {rounded(expected)}" in TEXT
    np.testing.assert_allclose(
        average_precision(QUERY, DATABASE, SHIRT, LABELS), float(expected), rtol=1e-15
    )
    orders = list(permutations("ABCDE"))
    chance = sum((by_hand("".join(order)) for order in orders), Fraction()) / len(orders)
    assert f"over all of them, here {100 * float(chance):.1f}" in TEXT
    np.testing.assert_allclose(chance_level(SHIRT, LABELS), float(chance), rtol=1e-15)
    constant = np.ones_like(DATABASE)
    np.testing.assert_allclose(
        average_precision(QUERY, constant, SHIRT, LABELS), float(chance), rtol=1e-15
    )


def test_the_floor() -> None:
    center = center_codes(SHIRT, DATABASE, LABELS)
    floor = average_precision(-center, DATABASE, SHIRT, LABELS)[0]
    assert f"Here it is {100 * floor:.1f}" in TEXT


def test_the_means_and_minima_of_the_tables() -> None:
    tables = re.findall(r"(?:^\|.*\|\n)+", PAGE.read_text(), re.MULTILINE)
    attacks, models = (
        np.array([[int(cell) for cell in row.split("|")[2:5]] for row in table.splitlines()[2:]])
        for table in (
            next(table for table in tables if "attack 1" in table),
            next(table for table in tables if "model 1" in table),
        )
    )
    for rows in (attacks, models):
        assert rows[:-1].mean(axis=0).tolist() == rows[-1].tolist()
    assert (attacks[:-1, :2].min(axis=1) == attacks[:-1, 2]).all()
    assert (models[:, 0] - models[:, 1] == models[:, 2]).all()
