"""Mainstay codes inside a training loop: equal to those of the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashbench.defending.center_guided import mainstay_centers
from hashbench.hashing import batch_centers
from hashbench.retrieval import center_codes

Vectors = Callable[[str], Mapping[str, NDArray[Any]]]


@given(
    seed=st.integers(0, 2**32 - 1),
    items=st.integers(1, 30),
    bits=st.integers(1, 9),
    classes=st.integers(1, 7),
    density=st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0]),
)
def test_they_are_the_evaluations(
    seed: int, items: int, bits: int, classes: int, density: float
) -> None:
    # Rows without a label, rows that everything or nothing is relevant to, and ties all occur.
    rng = np.random.default_rng(seed)
    codes = rng.choice([-1, 1], (items, bits))
    labels = (rng.random((items, classes)) < density).astype(int)
    wanted = (rng.random((5, classes)) < 0.4).astype(int)
    found = mainstay_centers(*(torch.from_numpy(a).float() for a in (wanted, codes, labels)))
    assert found.dtype == torch.float32
    expected = center_codes(wanted, codes, labels, weighting="cosine")
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("case", ["single", "multi", "degenerate"])
def test_codes_of_the_repository(case: str, vectors: Vectors) -> None:
    arrays = {name: torch.from_numpy(value) for name, value in vectors("center_codes").items()}
    names = ("query_labels", "train_codes", "train_labels")
    found = mainstay_centers(*(arrays[f"{case}_{name}"] for name in names))
    wanted = arrays[f"{case}_saat_mainstay"]
    # Where both means are equal the repository gives the sign of a rounding error.
    sure = found != 0
    assert torch.equal(found[sure], wanted[sure])
    assert sure.float().mean() > 0.9


def test_likeness_decides_where_counting_would_not() -> None:
    # One relevant code shares both labels, two share one of three: 1 against 2 / sqrt(6).
    codes = torch.tensor([[1.0], [-1.0], [-1.0], [1.0], [-1.0]])
    labels = torch.tensor(
        [[1, 1, 0, 0, 0], [1, 0, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]
    ).float()
    wanted = torch.tensor([[1.0, 1, 0, 0, 0]])
    assert mainstay_centers(wanted, codes, labels).tolist() == [[1.0]]
    assert batch_centers(wanted, codes, labels).tolist() == [[-1.0]]


@pytest.mark.parametrize("copies", range(1, 12))
def test_a_tie_of_roots_is_a_tie(copies: int) -> None:
    # 1 / sqrt(2) against 3 / sqrt(18), as often each; the two others cancel.
    two, many, other = np.zeros(20), np.zeros(20), np.eye(20)[18]
    two[[0, 19]] = many[:18] = 1
    wanted = np.zeros(20)
    wanted[:3] = 1
    labels = np.stack([two, many] * copies + [other, other])
    codes = np.array([[1.0], [-1.0]] * copies + [[1.0], [-1.0]])
    found = mainstay_centers(*(torch.from_numpy(a) for a in (wanted[None], codes, labels)))
    assert found.tolist() == [[0.0]]


def test_without_a_relevant_code_the_others_decide() -> None:
    codes = torch.tensor([[1.0, -1, 1], [1, -1, -1]])
    labels = torch.tensor([[1.0, 0, 0], [0, 0, 0]])
    wanted = torch.tensor([[0.0, 1, 0], [0, 0, 0]])
    assert mainstay_centers(wanted, codes, labels).tolist() == [[-1.0, 1, 0]] * 2
    assert batch_centers(wanted, codes, labels).tolist() == [[0.0, 0, 0]] * 2


def test_outputs_count_by_their_size() -> None:
    codes = torch.tensor([[0.9], [-0.2], [-0.3]])
    labels = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    assert mainstay_centers(torch.eye(2), codes, labels).tolist() == [[1.0], [-1.0]]
