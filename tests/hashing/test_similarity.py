"""Relevance and center codes as tensors: equal to the retrieval room's, ties and all."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashbench.hashing import batch_centers, relevant
from hashbench.retrieval import center_codes


def drawn(
    seed: int, queries: int, items: int, classes: int, bits: int, share: float
) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels = rng.random((queries, classes)) < share
    code_labels = rng.random((items, classes)) < share
    codes = rng.choice([-1, 1], (items, bits))
    return [torch.from_numpy(array.astype(np.float32)) for array in (labels, codes, code_labels)]


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 6),
    # Few items: ties, queries without a relevant item, and queries without any other are common.
    items=st.integers(1, 12),
    classes=st.integers(1, 5),
    bits=st.integers(1, 9),
    share=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
)
@example(seed=0, queries=3, items=4, classes=2, bits=5, share=0.0)
@example(seed=0, queries=3, items=4, classes=2, bits=5, share=1.0)
def test_centers_are_those_of_the_retrieval_room(
    seed: int, queries: int, items: int, classes: int, bits: int, share: float
) -> None:
    labels, codes, code_labels = drawn(seed, queries, items, classes, bits, share)
    found = batch_centers(labels, codes, code_labels)
    wanted = center_codes(labels.byte().numpy(), codes.numpy(), code_labels.byte().numpy())
    assert np.array_equal(found.numpy(), wanted)
    assert found.dtype == codes.dtype


def test_equal_means_are_undecided() -> None:
    # The mean is 1/3 over the 3 relevant codes, and over the 9 others.
    codes = torch.tensor([[1.0]] * 2 + [[-1.0]] + [[1.0]] * 6 + [[-1.0]] * 3)
    code_labels = torch.tensor([[1.0]] * 3 + [[0.0]] * 9)
    assert batch_centers(torch.ones(1, 1), codes, code_labels).tolist() == [[0.0]]
    # One more positive code outside decides the other way.
    more = torch.cat([codes, torch.ones(1, 1)]), torch.cat([code_labels, torch.zeros(1, 1)])
    assert batch_centers(torch.ones(1, 1), *more).tolist() == [[-1.0]]


def test_centers_agree_at_the_size_of_a_real_train_set() -> None:
    labels, codes, code_labels = drawn(7, queries=32, items=10_500, classes=21, bits=64, share=0.1)
    found = batch_centers(labels, codes, code_labels)
    wanted = center_codes(labels.byte().numpy(), codes.numpy(), code_labels.byte().numpy())
    assert np.array_equal(found.numpy(), wanted)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.1, 0.4]))
def test_two_items_are_relevant_when_they_share_a_label(seed: int, share: float) -> None:
    labels, _, others = drawn(seed, queries=4, items=6, classes=3, bits=1, share=share)
    found = relevant(labels, others)
    for i, one in enumerate(labels):
        for j, other in enumerate(others):
            assert found[i, j] == float(bool((one * other).any()))
    assert torch.equal(found, relevant(others, labels).T)
