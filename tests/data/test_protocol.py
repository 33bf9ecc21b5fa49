"""The protocol's hash: the same for ever for the same protocol, another one for another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.data.protocol import FIELDS, Protocol
from hashbench.errors import UsageError
from hashbench.records import read

FASHION = Protocol(
    dataset="fashion",
    train=2000,
    query=500,
    database=10000,
    classes=10,
    split="f3253c091acb5bfd081441e47ca8e9b540ea898dde989c89adc223dee52b3bf5",
    top_k=None,
)
FASHION_HASH = "e8f150b24ea609f615911c4d9a32b2ca17026f4d55f67fbeabbe98c0ad959708"
"""As hashbench 0.1 wrote it into the plan of its quick suite."""

WORDS = st.text(max_size=8)
PROTOCOLS = st.builds(
    Protocol,
    dataset=WORDS,
    train=st.integers(0),
    query=st.integers(0),
    database=st.integers(0),
    classes=st.integers(1),
    split=WORDS,
    top_k=st.none() | st.integers(1),
    normalize=WORDS,
    ties=WORDS,
    relevance=WORDS,
    transform=WORDS,
    excluded=st.integers(0),
    targets=WORDS,
)


@dataclass(frozen=True)
class Later(Protocol):
    """A protocol of a later hashbench, which has a field more."""

    weighting: str = "uniform"


def hash_of_version_0_1(protocol: Protocol) -> str:
    """Version 0.1's formula: every field that it had, keys sorted, as JSON."""
    names = ["dataset", "train", "query", "database", "classes", "split", "top_k"]
    names += ["normalize", "ties", "relevance", "transform", "excluded", "targets"]
    own = {name: getattr(protocol, name) for name in names}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def test_the_hash_that_version_0_1_wrote() -> None:
    assert FASHION.hash == FASHION_HASH == hash_of_version_0_1(FASHION)


@given(PROTOCOLS)
def test_the_hash_is_that_of_version_0_1_and_so_is_the_card(protocol: Protocol) -> None:
    assert protocol.hash == hash_of_version_0_1(protocol)
    assert read(Protocol, json.loads(json.dumps(protocol.to_plain())), "card") == protocol


@given(PROTOCOLS)
def test_a_field_added_with_a_default_changes_neither_hash_nor_card(protocol: Protocol) -> None:
    values = {field.name: getattr(protocol, field.name) for field in fields(protocol)}
    later = Later(**values)
    assert later.hash == protocol.hash
    assert later.to_plain() == protocol.to_plain()
    assert read(Later, protocol.to_plain(), "card") == later
    # Where it says something else than the default, it is another protocol.
    assert replace(later, weighting="cosine").hash != protocol.hash


def test_every_field_is_part_of_the_hash() -> None:
    for name in FIELDS[1]:
        value: Any = getattr(FASHION, name)
        other = value + 1 if isinstance(value, int) else 7 if value is None else value + "!"
        changes: dict[str, Any] = {name: other}
        assert replace(FASHION, **changes).hash != FASHION.hash, name


def test_an_older_hashbench_refuses_what_it_would_mistake_for_another_protocol() -> None:
    stored = replace(Later(**FASHION.to_plain()), weighting="cosine").to_plain()
    with pytest.raises(UsageError, match="card: weighting is not known: a newer hashbench wrote"):
        read(Protocol, stored, "card")
    with pytest.raises(UsageError, match=r"version is 99, but .* up to version 1: update it"):
        read(Protocol, {**FASHION.to_plain(), "version": 99}, "card")
