"""Numbers that would take for ever to write out are refused before they are."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.coercion import coerce
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.exact import exact

ENDLESS = ("1e999999999", "1e-9999999", "1E+9_9_9_9_9_9_9", "9" * 1_000_000, "1/" + "9" * 10_000)


@pytest.mark.parametrize("text", ENDLESS)
def test_an_endless_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a number"):
        exact(text)
    with pytest.raises(UsageError, match=r"^eps is '.{1,63}', but must be a fraction"):
        Eps.parse(text)
    for kind in (int, float):
        with pytest.raises(UsageError, match=r"^x: expected a .{0,6}number, found '.{1,63}'$"):
            coerce(text, kind, "x")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_read_exactly(value: float) -> None:
    assert exact(repr(value)) == Fraction(repr(value))
    assert exact(str(Fraction(value))) == Fraction(value)


@given(st.fractions(max_denominator=10**9))
def test_every_fraction_is_read_exactly(value: Fraction) -> None:
    assert exact(f" {value} ") == value
