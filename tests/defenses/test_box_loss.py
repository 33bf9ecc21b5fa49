"""The loss of boxes, restated by loops, and the schedule of their radius."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashbench.certifying import Box
from hashbench.defending import BoxLoss, BoxSchedule
from support.box_loss import restated


@st.composite
def boxes(draw: st.DrawFn) -> tuple[NDArray[Any], ...]:
    """(lower, upper, labels, codes): some images of none or several labels."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    count, classes, bits = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 7))
    ends = np.sort(rng.normal(0, 2, (2, count, bits)), axis=0)
    labels = (rng.random((count, classes)) < draw(st.sampled_from([0.2, 0.6]))).astype(float)
    return ends[0], ends[1], labels, rng.choice([-1.0, 1.0], (classes, bits))


def loss_of(box: tuple[Any, Any], labels: Any, codes: Any, mix: float, scale: float) -> float:
    ends = Box(torch.as_tensor(box[0]), torch.as_tensor(box[1]))
    terms = BoxLoss(torch.as_tensor(codes), mix, scale)
    return float(terms(ends, torch.as_tensor(labels)))


MIXES = st.sampled_from([0.0, 0.3, 0.85, 1.0])


@settings(deadline=None, max_examples=200)
@given(case=boxes(), mix=MIXES, scale=st.sampled_from([0.3, 2.0]))
def test_the_loss_is_the_one_that_is_written_down(
    case: tuple[NDArray[Any], ...], mix: float, scale: float
) -> None:
    lower, upper, labels, codes = case
    found = loss_of((lower, upper), labels, codes, mix, scale)
    # float64 on both sides
    assert found == pytest.approx(restated(lower, upper, labels, codes, mix, scale), rel=1e-12)


@settings(deadline=None, max_examples=100)
@given(case=boxes(), mix=MIXES, seed=st.integers(0, 1000))
def test_no_point_of_a_box_has_a_larger_loss(
    case: tuple[NDArray[Any], ...], mix: float, seed: int
) -> None:
    lower, upper, labels, codes = case
    labels = labels * (labels.cumsum(axis=1) == 1)  # one label at most
    most = loss_of((lower, upper), labels, codes, mix, 0.5)
    rng = np.random.default_rng(seed)
    bits = lower.shape[1]
    corners = [np.array(c) for c in itertools.product([0.0, 1.0], repeat=bits)][:64]
    inside = [rng.random(lower.shape) for _ in range(5)]
    for share in (*corners, *inside):
        point = lower + share * (upper - lower)
        assert loss_of((point, point), labels, codes, mix, 0.5) <= most + 1e-12


@settings(deadline=None, max_examples=50)
@given(case=boxes(), mix=MIXES, seed=st.integers(0, 1000))
def test_other_numbers_of_the_classes_change_nothing(
    case: tuple[NDArray[Any], ...], mix: float, seed: int
) -> None:
    lower, upper, labels, codes = case
    order = np.random.default_rng(seed).permutation(len(codes))
    found = loss_of((lower, upper), labels[:, order], codes[order], mix, 0.3)
    assert found == pytest.approx(loss_of((lower, upper), labels, codes, mix, 0.3), rel=1e-12)


def test_a_single_label_and_point_give_the_scaled_gap_of_inner_products() -> None:
    rng = np.random.default_rng(0)
    logits, codes = rng.normal(size=(1, 5)), rng.choice([-1.0, 1.0], (3, 5))
    outputs = np.tanh(logits[0])
    scores = 0.3 / 2 * (codes @ outputs - codes[1] @ outputs)
    wanted = np.log(np.exp(scores).sum())
    found = loss_of((logits, logits), np.array([[0.0, 1.0, 0.0]]), codes, 1.0, 0.3)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_the_schedule_grows_between_its_ends() -> None:
    schedule = BoxSchedule(0.05, 0.5, 0.0)
    assert [schedule.growth(p) for p in (0.0, 0.05, 0.5, 0.9)] == [0, 0, 1, 1]
    assert schedule.growth(0.275) == pytest.approx(0.5)
    assert [schedule.weight(p) for p in (0.0, 0.05, 0.5, 0.99)] == [1, 1, 0, 0]
    half = BoxSchedule(0.0, 1.0, 0.5)
    assert [half.weight(p) for p in (0.0, 0.5, 1.0)] == [1, 0.75, 0.5]
