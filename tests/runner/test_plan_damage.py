"""Damaged plans: refused with one sentence, or harmless; never an error of Python's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashbench.data import Protocol
from hashbench.errors import HashbenchError
from hashbench.results.address import Address
from hashbench.results.cell import Cell
from hashbench.results.load import load_results
from hashbench.results.results import COLUMNS
from hashbench.results.store import Failure, Store

PROTOCOL = Protocol("tiny", 24, 3, 40, 4, "5" * 64, None)
ADDRESS = Address("scores", "score", "ab" * 32)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """The file of a plan with two cells: one failed, one was not run."""
    store = Store(tmp_path)
    cells = [
        Cell("tiny", "csq", "small-cnn", 8, "none", attack, "8/255", 0, PROTOCOL.hash, "7" * 64)
        for attack in ("hag", "noise")
    ]
    addresses = [Address("model", "train", digit * 64) for digit in "12"]
    store.write_plan(
        "a",
        {
            "asked": "2024-05-01",
            "suite": {},
            "protocols": {PROTOCOL.hash: asdict(PROTOCOL)},
            "trainings": {"7" * 64: {"base": {"epochs": 2}}},
            "cells": [
                {"cell": asdict(cell), "scores": asdict(ADDRESS), "steps": [asdict(address)]}
                for cell, address in zip(cells, addresses, strict=True)
            ],
        },
    )
    store.fail(addresses[0], Failure("it broke"))
    assert len(load_results(tmp_path).cells) == 2
    return tmp_path / "plans" / "a.json"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    """The path of every value inside nested lists and dictionaries."""
    yield path
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(child, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with the value at a path replaced, or removed where `new` is `...`."""
    if not path:
        return new
    head, *rest = path
    if new is ... and not rest:
        if isinstance(value, dict):
            return {key: child for key, child in value.items() if key != head}
        return [child for index, child in enumerate(value) if index != head]
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[head] = put(value[head], tuple(rest), new)
    return copy


ODD: list[Any] = [..., None, 0, -1, 1.5, True, "", "x", "../../x", [], {}, [1], {"a": 1}, "\0"]


def test_no_value_of_a_plan_can_be_changed_unnoticed(plan: Path) -> None:
    """Every value is removed, and replaced by values of every type: one of our own errors each."""
    whole = json.loads(plan.read_text())
    for place in places(whole):
        for odd in ODD:
            changed = json.dumps(put(whole, place, odd)) if place or odd is not ... else "gone"
            plan.write_text(changed)
            try:
                frame = load_results(plan.parents[1]).to_frame()
            except HashbenchError as error:
                assert "plan" in str(error)  # noqa: PT017 - either outcome is right
            except Exception as error:
                raise AssertionError(f"{place} = {odd!r}") from error
            else:
                assert changed == json.dumps(whole) or place == ("sha256",)
                assert tuple(frame.columns) == COLUMNS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 10**6), mask=st.integers(1, 255))
def test_a_flipped_byte_in_a_plan_is_refused_or_harmless(plan: Path, place: int, mask: int) -> None:
    whole = plan.read_bytes()
    before = load_results(plan.parents[1]).to_frame()
    place %= len(whole)
    plan.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
    try:
        after = load_results(plan.parents[1]).to_frame()
    except HashbenchError as error:
        assert "plan" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert after.equals(before)
    finally:
        plan.write_bytes(whole)
