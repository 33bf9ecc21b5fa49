"""Radii: exact fractions, kept as they were written; 8/255 and 0.031 are two threats."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench import Eps, UsageError

SHARES = st.fractions(0, 1)


def test_fractions_are_exact() -> None:
    assert Eps.parse("8/255").fraction == Fraction(8, 255)
    assert Eps.parse("0.1").fraction == Fraction(1, 10)
    assert Eps.parse("1e-3").fraction == Fraction(1, 1000)
    assert Eps.parse(0.1).fraction == Fraction(1, 10)  # what was meant, not the nearest double
    assert float(Eps.parse("8/255")) == 8 / 255


def test_two_radii_are_one_threat_when_their_fractions_are() -> None:
    one, same = Eps.parse("8/255"), Eps.parse("16/510")
    assert one == same
    assert hash(one) == hash(same)
    assert one.canonical == same.canonical == "8/255"
    assert (str(one), str(same)) == ("8/255", "16/510")
    assert len({one, same, Eps.parse("8 / 255")}) == 1


@pytest.mark.parametrize("other", ["0.031", "0.0313725490196", "0.03137254901960784", 0.031])
def test_a_rounded_radius_is_another_threat(other: object) -> None:
    assert Eps.parse(other) != Eps.parse("8/255")
    assert Eps.parse(other).canonical != "8/255"


@pytest.mark.parametrize("steps", range(1, 255))
def test_a_quotient_in_python_is_the_fraction_that_was_typed(steps: int) -> None:
    assert Eps.parse(steps / 255) == Eps.parse(f"{steps}/255")
    below = math.nextafter(steps / 255, 0)
    assert Eps.parse(below) != Eps.parse(f"{steps}/255")


def test_the_ends_are_in() -> None:
    for text, value in (("0", 0), ("1", 1), ("0/255", 0), ("255/255", 1), ("-0", 0), ("1.0", 1)):
        assert Eps.parse(text).fraction == value


@pytest.mark.parametrize("written", ["8", 8, "-1/255", -0.1, "256/255", "1.0000001", "1e9"])
def test_outside_the_pixel_range_is_refused(written: object) -> None:
    with pytest.raises(UsageError) as raised:
        Eps.parse(written)
    assert str(raised.value) == (
        f"eps is {written}, but must lie from 0 to 1: pixels are in [0, 1], "
        "so the literature's 8 is written 8/255"
    )


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "eight", "8/0", "8//255", "1/2/3", "8/255px", "nan", "0x1", "1,5"),
        *(math.nan, math.inf, None, True, [], {}, b"1"),
    ],
)
def test_nonsense_is_refused(written: object) -> None:
    with pytest.raises(UsageError) as raised:
        Eps.parse(written)
    assert str(raised.value) == (
        f"eps is '{written}', but must be a fraction such as 8/255 or a number from 0 to 1"
    )


@given(SHARES)
def test_parsing_is_the_inverse_of_writing(share: Fraction) -> None:
    eps = Eps.parse(str(share))
    assert eps.fraction == share
    assert Eps.parse(eps.canonical) == Eps.parse(str(eps)) == Eps.parse(eps) == eps
    assert float(eps) == share.numerator / share.denominator


@given(SHARES, SHARES)
def test_order_is_the_order_of_the_fractions(one: Fraction, two: Fraction) -> None:
    left, right = Eps.parse(str(one)), Eps.parse(str(two))
    assert (left < right) == (one < two)
    assert (left == right) == (one == two)
    assert max(left, right).fraction == max(one, two)


def test_a_radius_multiplies_as_its_value() -> None:
    """`threat.eps * gradient.sign()` is what an author writes first."""
    eps = Eps.parse("8/255")
    assert eps * 2 == 2 * eps == 2 * (8 / 255)
    assert eps / 4 == 8 / 255 / 4
    assert -eps == -8 / 255
    signs = np.array([1.0, -1.0, 0.0])
    assert ((eps * signs) == signs * (8 / 255)).all()
