"""Calls of attacks that draw from the process-wide generators: seeded, restored, one by one."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from hashbench.attacking import QueryRandom, Seeding, call_seeded, seeded


def draws() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.rand()), random.random()  # noqa: NPY002


def noise(images: Tensor, labels: Tensor, seed: int) -> Tensor:
    """A library's attack that draws from all three generators."""
    first, second, third = draws()
    return images + labels.view(-1, 1, 1, 1) + first + second + third + seed


def batch(count: int) -> tuple[Tensor, Tensor, QueryRandom]:
    images = torch.arange(count * 4.0).reshape(count, 1, 2, 2).double()
    return images, torch.arange(count), QueryRandom(range(count))


def test_the_generators_go_on_as_if_nothing_had_been_drawn() -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    wanted = [draws(), draws()]
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    found = [draws()]
    with seeded(1):
        draws()
    found.append(draws())
    assert found == wanted


def test_so_they_do_after_an_error() -> None:
    states = torch.get_rng_state(), random.getstate()
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002

    def fails() -> None:
        with seeded(1):
            draws()
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fails()
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    np.testing.assert_equal(np.random.get_state(legacy=False), numpy)  # noqa: NPY002


def test_a_seed_names_its_draws() -> None:
    def of(seed: int) -> tuple[float, float, float]:
        with seeded(seed):
            return draws()

    assert of(7) == of(7)
    assert all(one != other for one, other in zip(of(7), of(8), strict=True))


@pytest.mark.parametrize("cut", [(1, 1, 1, 1, 1), (2, 3), (4, 1)])
def test_per_query_no_cut_into_batches_matters(cut: tuple[int, ...]) -> None:
    images, labels, rng = batch(5)
    together = call_seeded(noise, images, labels, rng)
    parts, start = [], 0
    for count in cut:
        rows = slice(start, start + count)
        own = QueryRandom(range(start, start + count))
        parts.append(call_seeded(noise, images[rows], labels[rows], own, Seeding.QUERY))
        start += count
    assert torch.equal(torch.cat(parts), together)


def counted(calls: list[tuple[int, int]]) -> Callable[[Tensor, Tensor, int], Tensor]:
    def call(images: Tensor, labels: Tensor, seed: int) -> Tensor:
        assert len(images) == len(labels)
        calls.append((len(images), seed))
        return images

    return call


def test_per_query_each_is_called_alone_with_a_seed_of_its_own() -> None:
    calls: list[tuple[int, int]] = []
    images, labels, rng = batch(5)
    assert torch.equal(call_seeded(counted(calls), images, labels, rng), images)
    assert [size for size, _ in calls] == [1] * 5
    assert len({seed for _, seed in calls}) == 5
    assert all(0 <= seed < 2**31 for _, seed in calls)


def test_per_batch_there_is_one_call_whose_seed_all_queries_make() -> None:
    calls: list[tuple[int, int]] = []
    for seeds in (range(5), range(5), [0, 1, 2, 3, 9]):
        images, labels, _ = batch(5)
        call_seeded(counted(calls), images, labels, QueryRandom(list(seeds)), Seeding.BATCH)
    assert [size for size, _ in calls] == [5, 5, 5]
    assert calls[0] == calls[1] != calls[2]


@pytest.mark.parametrize("seeding", list(Seeding))
def test_other_seeds_of_the_queries_give_other_draws(seeding: Seeding) -> None:
    images, labels, _ = batch(3)
    one, other = (
        call_seeded(noise, images, labels, QueryRandom(seeds), seeding)
        for seeds in ([0, 1, 2], [10, 11, 12])
    )
    assert not torch.equal(one, other)


@pytest.mark.parametrize("seeding", list(Seeding))
def test_no_query_is_no_call(seeding: Seeding) -> None:
    images = torch.zeros(0, 1, 2, 2)
    calls: list[tuple[int, int]] = []
    found = call_seeded(counted(calls), images, torch.zeros(0), QueryRandom([]), seeding)
    assert found.shape == images.shape
    assert calls == []
