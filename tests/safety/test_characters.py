"""Text of any origin, as people are shown it."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from hashbench.characters import briefly, first_line, shortened, shown


def test_what_steers_a_terminal_or_hides_becomes_its_number() -> None:
    assert shown("a\x1b[31mb") == "a\\x1b[31mb"
    assert shown("\u202eabc\u2066\u200b") == "\\u202eabc\\u2066\\u200b"
    assert shown("\ud800\U000e0001\x9b") == "\\ud800\\U000e0001\\x9b"
    assert shown("a\nb\tc", keep="\n") == "a\nb\\x09c"
    assert shown("Größe 図 é") == "Größe 図 é"


@given(st.text(st.characters(codec=None)))
def test_nothing_that_steers_is_left_and_nothing_else_changes(text: str) -> None:
    found = shown(text)
    assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in found)
    if not any(unicodedata.category(one)[0] in "CZ" for one in text):
        assert found == text
    assert shown(found) == found


def test_a_long_text_is_cut() -> None:
    assert shortened("a" * 60) == "a" * 60
    assert shortened("a" * 61) == "a" * 60 + "..."


def test_what_a_message_quotes_is_short_and_steers_nothing() -> None:
    assert briefly("\x1b[2J" + 100 * "x") == "\\x1b[2J" + 56 * "x" + "..."
    assert briefly(7) == "7"


def test_an_error_is_told_in_one_line() -> None:
    assert first_line(ValueError("\n  \n one \r\ntwo")) == "one"
    assert first_line(ValueError("")) == first_line(ValueError(" \n")) == "ValueError"
    assert first_line(KeyError()) == "KeyError"
    assert first_line(ValueError("abcdef\nghi"), 4) == "abcd..."
    assert len(first_line(OSError("x" * 5_000))) == 303
