"""Counts of the innocent, against every upload compared with every listed picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.matching.changes import CHANGES
from hashbench.matching.innocent import count_innocent
from hashbench.results.matches import metrics
from hashbench.results.matches.innocent import innocent_metrics

Case = tuple[Any, dict[str, Any], list[int]]


@st.composite
def cases(draw: st.DrawFn, least: int = 0) -> Case:
    """Codes of a few pictures, some of them there twice, and of their changes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pictures, bits = draw(st.integers(least, 7)), draw(st.sampled_from([1, 5, 8, 12, 64]))
    groups = rng.integers(0, draw(st.integers(1, 8)), pictures)
    # What the same file gives is the same code.
    clean = (rng.random((8, bits)) < 0.5)[groups]
    texts = [change.text for change in CHANGES[: draw(st.integers(0, 3))]]
    changed = {text: clean ^ (rng.random(clean.shape) < 0.2) for text in texts}
    return clean, changed, groups.tolist()


def brute(case: Case) -> tuple[list[int], list[int]]:
    """Distances of pairs of the same picture, and of others."""
    clean, changed, groups = case
    same, other = [], []
    for text, uploads in (("", clean), *changed.items()):
        for i, upload in enumerate(uploads):
            for j, listed in enumerate(clean):
                distance = int((upload != listed).sum())
                if i == j and text:
                    same.append(distance)
                elif groups[i] != groups[j]:
                    other.append(distance)
    return same, other


@given(cases())
def test_every_upload_meets_every_stranger_once(case: Case) -> None:
    clean, changed, groups = case
    found = count_innocent(clean, changed, groups)
    same, other = brute(case)
    width = clean.shape[1] + 1
    assert found.pairs.same.tolist() == np.bincount(same, minlength=width).tolist()
    assert found.pairs.other.tolist() == np.bincount(other, minlength=width).tolist()
    assert found.pictures == len(clean)
    assert found.repeated == len(clean) - len(set(groups))
    by_name = count_innocent(clean, changed, [f"sha {group}" for group in groups], threads=2)
    assert np.array_equal(by_name.pairs.other, found.pairs.other)


@given(cases(least=1), st.integers(0, 12))
def test_the_metrics_are_those_of_the_pairs(case: Case, threshold: int) -> None:
    clean, changed, groups = case
    same, other = brute(case)
    found = innocent_metrics(
        count_innocent(clean, changed, groups), threshold, traffic=1000, stored=50
    )
    wanted: dict[str, float] = {metrics.PICTURES: len(clean), metrics.PAIRS_SAME: len(same)}
    wanted[metrics.PAIRS_OTHER] = len(other)
    for text, codes in changed.items():
        near = (codes != clean).sum(axis=1) <= threshold
        wanted[metrics.of_change(text)] = int(near.sum()) / len(near)
    if same:
        wanted[metrics.TPR] = sum(one <= threshold for one in same) / len(same)
    if other:
        wrong = sum(one <= threshold for one in other)
        wanted[metrics.FPR] = wrong / len(other)
        wanted[metrics.FALSE_FLAGS] = 1000 * 50 * wrong / len(other)
    if same and other:
        for name, rate in metrics.TPR_AT_FPR.items():
            # So few pairs: none of the others may match.
            assert rate * len(other) < 1
            wanted[name] = sum(one < min(other) for one in same) / len(same)
    assert {name: found.get(name) for name in wanted} == wanted
    assert not any(math.isnan(value) for value in found.values())
    last = {metrics.EER, metrics.MICRO_AP, *metrics.RECALL_AT_PRECISION}
    assert set(found) - set(wanted) == (last if same and other else set())


def test_equal_codes_of_different_pictures_are_strangers() -> None:
    """A blank picture and another one: the hash cannot tell them apart, and that is an error."""
    codes = np.zeros((2, 8), dtype=np.bool_)
    found = innocent_metrics(
        count_innocent(codes, {"flip": codes}, ["a", "b"]), 0, traffic=10, stored=10
    )
    assert (found[metrics.FPR], found[metrics.TPR], found[metrics.FALSE_FLAGS]) == (1, 1, 100)
    assert found["tpr@fpr=1e-3"] == 0
    assert found[metrics.EER] == 0.5
    assert found[metrics.PAIRS_OTHER] == 4


def test_all_pictures_are_one() -> None:
    codes = np.zeros((3, 8), dtype=np.bool_)
    found = innocent_metrics(
        count_innocent(codes, {"flip": codes}, ["a", "a", "a"]), 0, traffic=10, stored=10
    )
    assert found[metrics.PAIRS_OTHER] == 0
    assert metrics.FPR not in found
    assert metrics.FALSE_FLAGS not in found
    assert found[metrics.TPR] == 1


@pytest.mark.parametrize(
    ("clean", "changed", "groups", "message"),
    [
        (np.ones((2, 3)), {}, [0, 1], "codes of clean: expected bool"),
        (np.ones((2, 3), bool), {"flip": np.ones((1, 3), bool)}, [0, 1], "codes of flip: .*(1, 3)"),
        (np.ones((2, 3), bool), {"flip": np.ones((2, 4), bool)}, [0, 1], "codes of flip: .*(2, 4)"),
        (np.ones((2, 3), bool), {}, [0], "groups: expected one for each of 2 pictures"),
    ],
)
def test_bad_input(clean: Any, changed: Any, groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count_innocent(clean, changed, groups)
