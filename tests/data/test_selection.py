"""Picking: the order is SHA-256's, nothing is picked twice, and a shortage is told of."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.data.fixed_order import fixed_order
from hashbench.data.garments.garments import Garments
from hashbench.data.garments.selection import pick_per_class
from hashbench.errors import UsageError


def garments_of(labels: list[int], pixels: list[int]) -> Garments:
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 3, 4] = pixels
    return Garments(images, np.array(labels, np.uint8))


def everything(per_class: int) -> Garments:
    """`per_class` distinct images of each class; pixel values name them."""
    labels = [index % 10 for index in range(10 * per_class)]
    return garments_of(labels, list(range(10 * per_class)))


@given(salt=st.text(max_size=5), count=st.integers(0, 60))
def test_ranking_is_the_order_of_the_digests(salt: str, count: int) -> None:
    order = fixed_order(salt, count)
    assert sorted(order.tolist()) == list(range(count))
    digests = [hashlib.sha256(f"{salt} {number}".encode()).hexdigest() for number in order]
    assert digests == sorted(digests)


def test_ranking_is_pinned() -> None:
    # From `for i in 0 1 2 3 4 5; do printf "salt $i" | sha256sum; done`, sorted.
    assert fixed_order("salt", 6).tolist() == [1, 0, 5, 2, 3, 4]


def test_smaller_picks_lie_inside_larger_ones() -> None:
    garments = everything(9)
    large = pick_per_class(garments, 8, salt="s", what="all")
    small = pick_per_class(garments, 3, salt="s", what="all")
    assert np.array_equal(small, large[:, :3])
    assert np.array_equal(garments.labels[large], np.arange(10)[:, None] + np.zeros((1, 8)))


@given(st.lists(st.integers(0, 5), min_size=60, max_size=60))
def test_no_pixels_twice(pixels: list[int]) -> None:
    distinct = everything(4)
    labels = distinct.labels.tolist() + [index % 10 for index in range(60)]
    garments = garments_of(labels, [*range(100, 140), *pixels])
    picked = pick_per_class(garments, 4, salt="s", what="all").ravel()
    assert len({garments.images[index].tobytes() for index in picked}) == 40


def test_excluded_pixels_are_never_picked() -> None:
    garments = everything(4)
    excluded = garments.take(np.array([0, 11, 22]))
    picked = pick_per_class(garments, 3, salt="s", what="all", apart_from=excluded.contents())
    assert not {0, 11, 22} & set(picked.ravel().tolist())
    with pytest.raises(UsageError, match=r"queries: 4 images .* 'T-shirt/top' has 3 to pick from"):
        pick_per_class(garments, 4, salt="s", what="queries", apart_from=excluded.contents())
