"""Bounds of what a plan may hold: no run asks for more, and no report could show it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from hashbench.characters import shortened
from hashbench.data.protocol import PixelValues, Protocol
from hashbench.errors import UsageError
from hashbench.results.cell import WORST_CASE, AttackFacts, Cell
from hashbench.retrieval import Normalize, Ties

MAX_NAME: Final = 1_000
"""Characters of a data set, a plugin with its parameters, a word of a protocol."""

MAX_BITS: Final = 65_536
MAX_IMAGES: Final = 10**9
MAX_NUMBER: Final = 2**64
"""Of a seed and of any number among parameters."""

_MAX_VALUES: Final = 10_000
"""How many values the parameters of an attack, or what is told of a training, may be."""

_HASH: Final = frozenset("0123456789abcdef")


def check_cell(cell: Cell) -> None:
    """Refuse a cell that no run can ask for.

    Raises:
        UsageError: a name that is empty or too long, a number out of its range, a hash that is
            none, a radius that is none, the name of a row that is computed of others.
    """
    for name in ("dataset", "loss", "backbone", "defense", "attack", "eps"):
        _check_name(name, getattr(cell, name))
    for name in ("protocol", "training"):
        text = getattr(cell, name)
        if len(text) != 64 or not _HASH.issuperset(text):
            raise UsageError(f"{name} is '{shortened(text)}', expected 64 hexadecimal digits")
    _check_number("bits", cell.bits, 1, MAX_BITS)
    _check_number("seed", cell.seed, -MAX_NUMBER, MAX_NUMBER)
    if cell.attack == WORST_CASE:
        raise UsageError(f"an attack is named {WORST_CASE}, as the row that is computed of all")
    radius = cell.radius  # which refuses what is none
    del radius


def check_facts(facts: AttackFacts) -> None:
    """Refuse what no attack can say of itself; raises UsageError."""
    _check_name("the attack's name", facts.name)
    _check_plain("the attack's parameters", facts.parameters)
    if facts.reach is not None and not 0 <= facts.reach < math.inf:
        raise UsageError("the attack's reach is no distance")


def check_protocol(protocol: Protocol) -> None:
    """Refuse a protocol card that no data set can have; raises UsageError."""
    for name in ("dataset", "split", "relevance", "transform", "targets"):
        _check_name(name, getattr(protocol, name))
    if protocol.roles:
        _check_name("roles", protocol.roles)
    for name in ("train", "query", "database", "classes"):
        _check_number(name, getattr(protocol, name), 1, MAX_IMAGES)
    _check_number("excluded", protocol.excluded, 0, MAX_IMAGES)
    if protocol.top_k is not None:
        _check_number("top_k", protocol.top_k, 1, MAX_IMAGES)
    for name, choices in (
        ("normalize", Normalize),
        ("ties", Ties),
        ("pixels", PixelValues),
    ):
        if getattr(protocol, name) not in set(choices):
            raise UsageError(f"{name} is '{shortened(getattr(protocol, name))}', which is unknown")


def check_training(training: Mapping[str, Any]) -> None:
    """Refuse what cannot be told of a training; raises UsageError."""
    _check_plain("a training", training)
    base = training.get("base")
    reported = base.get("reported") if isinstance(base, Mapping) else None
    if reported is not None and (type(reported) not in (int, float) or not 0 <= reported <= 1):
        raise UsageError(f"the mAP that was reported is {shortened(repr(reported))}")


def check_version(text: str) -> None:
    """Refuse what is too long to be a hash; raises UsageError."""
    if len(text) > MAX_NAME:
        raise UsageError(f"a hash of {len(text):,} characters")


def _check_name(what: str, text: str) -> None:
    if not 0 < len(text) <= MAX_NAME:
        raise UsageError(f"{what} has {len(text):,} characters, expected 1 to {MAX_NAME:,}")


def _check_number(what: str, number: int, low: int, high: int) -> None:
    if not low <= number <= high:
        raise UsageError(f"{what} is {_short(number)}, expected {low} to {high}")


def _check_plain(what: str, value: Mapping[str, Any]) -> None:
    """Texts, numbers and their lists and tables, bounded each and together."""
    left = _MAX_VALUES
    waiting: list[Any] = [value]
    while waiting:
        left -= 1
        one = waiting.pop()
        if left < 0:
            raise UsageError(f"{what}: more than {_MAX_VALUES:,} values")
        if isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, str):
            if len(one) > MAX_NAME:
                raise UsageError(f"{what}: a text of {len(one):,} characters")
        elif isinstance(one, int | float) and not abs(one) <= MAX_NUMBER:
            raise UsageError(f"{what}: the number {_short(one)}")


def _short(number: float) -> str:
    # An integer of thousands of digits is not written out.
    return shortened(str(number)) if abs(number) < 10**30 else "too large a number"
