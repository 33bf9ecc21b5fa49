"""Typed reading: what is right comes back as it was, what is wrong is told with its key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.records import Author, Migrations, migrated, plain, read


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    identity: ClassVar[bool] = True
    name: str
    share: float = 0.5


@dataclass(frozen=True)
class Record:
    count: int
    inner: Inner
    good: bool = False
    eps: Eps = field(default_factory=lambda: Eps.parse("8/255"))
    colour: Colour = Colour.RED
    limit: int | None = None
    numbers: tuple[float, ...] = ()
    inners: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] = field(default_factory=dict)
    home: Path = Path()
    anything: Any = None


LEAST: dict[str, Any] = {"count": 3, "inner": {"name": "x"}}

SHARES = st.floats(0, 1)
INNERS = st.builds(Inner, st.text(), SHARES)
RECORDS = st.builds(
    Record,
    count=st.integers(),
    inner=INNERS,
    good=st.booleans(),
    eps=st.fractions(0, 1).map(Eps.parse),
    colour=st.sampled_from(Colour),
    limit=st.none() | st.integers(),
    numbers=st.lists(SHARES).map(tuple),
    inners=st.lists(INNERS).map(tuple),
    by_name=st.dictionaries(st.text(), INNERS),
    home=st.just(Path("a/b")),
    anything=st.lists(st.integers()) | st.text(),
)


@given(RECORDS)
def test_what_is_written_is_read_back(record: Record) -> None:
    stored = json.loads(json.dumps(plain(record)))
    assert read(Record, stored, "file") == record


@dataclass(frozen=True)
class Either:
    one: Inner | Record
    number: int | str = 0


def test_of_a_union_a_value_is_one_already() -> None:
    inner = Inner("x")
    for author in Author:
        assert read(Either, {"one": inner, "number": "a"}, "", author) == Either(inner, "a")
    with pytest.raises(UsageError, match=r"^one is {}, expected something else$"):
        read(Either, {"one": {}}, "")
    with pytest.raises(UsageError, match=r"^number is True"):  # no number to anybody but Python
        read(Either, {"one": inner, "number": True}, "")


def test_what_is_left_out_takes_its_default() -> None:
    assert read(Record, LEAST, "file") == Record(3, Inner("x"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": "3"}, "file: count is '3', expected a whole number"),
        ({"count": 3.0}, "file: count is 3.0, expected a whole number"),
        ({"count": True}, "file: count is True, expected a whole number"),
        ({"count": None}, "file: count is None, expected a whole number"),
        ({"count": ...}, "file: it lacks count"),
        ({"inner": 3}, "file: inner is 3, expected a table"),
        ({"inner": {}}, r"file: \[inner\] lacks name"),
        ({"inner": {"name": 3}}, "file: inner.name is 3, expected a text"),
        ({"inner": {"name": "x", "share": "1"}}, "file: inner.share is '1', expected a number"),
        ({"inner": {"name": "x", "new": 1}}, "file: inner.new is not known: a newer hashbench"),
        ({"good": 1}, "file: good is 1, expected true or false"),
        ({"eps": "2"}, "file: eps: eps is 2, but must lie from 0 to 1"),
        ({"colour": "rde"}, "file: colour: 'rde' is no choice; did you mean 'red'"),
        ({"limit": "none"}, "file: limit is 'none', expected a whole number"),
        ({"numbers": [1, "2"]}, "file: numbers is '2', expected a number"),
        ({"numbers": 1.0}, "file: numbers is 1.0, expected a list"),
        ({"by_name": {"a": {"name": 1}}}, "file: by_name.a.name is 1, expected a text"),
        ({"by_name": []}, r"file: by_name is \[\], expected a table"),
        ({"home": 3}, "file: home: expected a path, found 3"),
    ],
)
def test_what_a_program_wrote_wrongly_is_told_with_its_key(
    changes: dict[str, Any], said: str
) -> None:
    data = {key: value for key, value in {**LEAST, **changes}.items() if value is not ...}
    with pytest.raises(UsageError, match=said):
        read(Record, data, "file")


def test_an_unknown_key_is_a_slip_of_a_person_and_news_of_a_program() -> None:
    assert read(Record, {**LEAST, "later": 1}, "file") == Record(3, Inner("x"))
    with pytest.raises(UsageError, match="file: there is no key 'cuont'; did you mean 'count'"):
        read(Record, {**LEAST, "cuont": 1}, "file", Author.PERSON)
    with pytest.raises(UsageError, match=r"file: \[inner\] has no key 'nam'; did you mean 'name'"):
        read(Record, {"count": 1, "inner": {"nam": "x"}}, "file", Author.PERSON)


def test_a_person_may_write_numbers_as_text() -> None:
    data = {"count": "3", "inner": {"name": "x", "share": "1/4"}, "good": "true", "limit": "none"}
    assert read(Record, data, "file", Author.PERSON) == Record(3, Inner("x", 0.25), good=True)


def test_no_table_at_all_is_told() -> None:
    with pytest.raises(UsageError, match=r"file: it is \[\], expected a table"):
        read(Record, [], "file")


@given(st.integers(1, 5), st.integers(0, 4))
def test_formats_are_migrated_one_after_the_other(newest: int, older: int) -> None:
    """Each migration appends its number; a format without one changes nothing."""

    def appending(version: int) -> Any:
        return lambda data: {**data, "trail": [*data["trail"], version]}

    migrations: Migrations = {("plan", version): appending(version) for version in (1, 2, 4)}
    since = max(1, newest - older)
    before = {"trail": [], "other": Fraction(1, 2)}
    after = migrated(migrations, "plan", before, since, newest)
    assert after["trail"] == [n for n in range(since, newest) if n in (1, 2, 4)]
    assert before["trail"] == []
    assert migrated(migrations, "card", before, since, newest) == before
