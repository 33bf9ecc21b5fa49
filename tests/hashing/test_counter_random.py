"""Random numbers by counting: what each is a function of, in closed form; that they are random.

Statistical tests have fixed seeds, so that they pass or fail for ever; a p-value below 1e-6 fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing import CounterRandom, counter_random
from hashbench.hashing.kept import given as give
from hashbench.hashing.kept import packed, taken, unpacked
from hashbench.hashing.philox import Place, signed, words_by_numpy, words_in_tensors

SEED = st.integers(-(2**63), 2**64 - 1) | st.sampled_from([0, 1, 2**32, 2**63, -1, 2**64 - 1])
SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
LEAST = 1e-6
ALL = 2**64 - 1

Draw = Callable[[CounterRandom], Tensor]
DRAWS: list[Draw] = [
    lambda random: random.uniform((3, 5, 7), -0.1, 0.1),
    lambda random: random.normal((41,)),
    lambda random: random.integers((2, 9), 1000),
    lambda random: random.uniform(()),
]


def drawn(seeds: list[int]) -> list[Tensor]:
    random = CounterRandom(seeds)
    return [draw(random) for draw in DRAWS]


def stream(seed: int, call: int, count: int) -> list[int]:
    key = torch.tensor([signed(seed % 2**64)])
    return [word & ALL for word in words_by_numpy(key, Place(call), count)[0].tolist()]


# --- What a draw is


@settings(deadline=None, max_examples=50)
@given(
    seeds=st.lists(SEED, min_size=1, max_size=3),
    shape=SHAPES,
    ends=st.tuples(*[st.floats(-1e3, 1e3, width=32)] * 2),
)
def test_uniform_numbers_are_one_product_and_one_sum_of_float32(
    seeds: list[int], shape: tuple[int, ...], ends: tuple[float, float]
) -> None:
    low, high = (np.float32(end) for end in ends)
    random = CounterRandom(seeds)
    random.normal(())
    found = random.uniform(shape, *ends)
    assert found.shape == (len(seeds), *shape)
    assert found.dtype == torch.float32
    count = math.prod(shape)
    for seed, row in zip(seeds, found, strict=True):
        words = stream(seed, 1, -(-count // 2))
        halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)][:count]
        step = np.float32(np.float64(high) - np.float64(low))
        for half, value in zip(halves, row.flatten().tolist(), strict=True):
            unit = np.float32(half >> 8) * np.float32(2.0**-24)
            number = np.float32(low + np.float32(step * unit))
            expected = min(number, np.nextafter(high, low)) if high > low else number
            assert value == expected


@settings(deadline=None, max_examples=50)
@given(seeds=st.lists(SEED, min_size=1, max_size=3), shape=SHAPES, high=st.integers(1, 2**63))
def test_whole_numbers_are_the_upper_part_of_a_product(
    seeds: list[int], shape: tuple[int, ...], high: int
) -> None:
    found = CounterRandom(seeds).integers(shape, high)
    assert found.shape == (len(seeds), *shape)
    assert found.dtype == torch.int64
    for seed, row in zip(seeds, found, strict=True):
        words = stream(seed, 0, 2 * math.prod(shape))
        pairs = zip(words[0::2], words[1::2], strict=True)
        expected = [(lower + (upper << 64)) * high >> 128 for lower, upper in pairs]
        assert row.flatten().tolist() == expected
        assert all(0 <= value < high for value in expected)


def test_normal_numbers_are_quantiles_of_the_words() -> None:
    found = CounterRandom([5]).normal((2000,))
    places = [((word >> 12) + 0.5) / 2**52 for word in stream(5, 0, 2000)]
    # k counts from the middle of the range: the upper half of the words comes first.
    expected = stats.norm.ppf([(place + 0.5) % 1 for place in places])
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=2.0**-23)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-8 / 255, 8 / 255), (5.0, 5.1), (-3, -1)])
def test_the_upper_end_is_never_drawn_and_the_lower_one_is(
    low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word, end in ((0, low), (-1, high)):
        monkeypatch.setattr(
            counter_random,
            "words",
            lambda _keys, _place, count, word=word: torch.full((1, count), word),
        )
        value = float(CounterRandom([0]).uniform((1,), low, high))
        below = np.nextafter(np.float32(high), np.float32(low))
        if end == low:
            assert value == np.float32(low)
        else:
            assert value <= below
            # One step of the 2^24 from the end, then a rounding to float32.
            assert value >= float(np.float32(high)) - (high - low) * 2.0**-23 - 2 * abs(
                np.spacing(below)
            )


def test_ends_that_are_equal_or_turned_around_are_taken_as_they_are() -> None:
    random = CounterRandom([1, 2])
    assert torch.equal(random.uniform((5,), 0.25, 0.25), torch.full((2, 5), 0.25))
    turned = random.uniform((500,), 1.0, -1.0)
    assert float(turned.max()) <= 1.0
    assert float(turned.min()) > -1.0


# --- What it does not depend on


def test_a_batch_of_37_and_one_of_500_and_one_by_one_draw_the_same() -> None:
    seeds = [7919 * place**3 + (place << 40) for place in range(500)]
    whole = drawn(seeds)
    for size in (1, 37):
        parts = [drawn(seeds[start : start + size]) for start in range(0, 500, size)]
        for position, expected in enumerate(whole):
            assert torch.equal(torch.cat([part[position] for part in parts]), expected)


@settings(deadline=None, max_examples=40)
@given(
    most=st.integers(1, 200),
    seeds=st.lists(SEED, min_size=1, max_size=4),
    shape=SHAPES,
)
def test_how_much_is_made_at_once_changes_nothing(
    most: int, seeds: list[int], shape: tuple[int, ...]
) -> None:
    def all_kinds() -> list[Tensor]:
        random = CounterRandom(seeds)
        return [random.uniform(shape, -1, 2), random.normal(shape), random.integers(shape, 99)]

    expected = all_kinds()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counter_random, "_AT_ONCE", {"cpu": most})
        found = all_kinds()
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_words_made_by_tensors_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = [3, 2**40, -5]
    expected = drawn(seeds)
    monkeypatch.setattr(counter_random, "words", words_in_tensors)
    assert all(torch.equal(a, b) for a, b in zip(drawn(seeds), expected, strict=True))


def test_a_gpu_draws_the_bits_of_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    on_card, on_cpu = CounterRandom([3, 2**40, -5], "cuda"), CounterRandom([3, 2**40, -5])
    for draw in DRAWS:
        assert torch.equal(draw(on_card).cpu(), draw(on_cpu))
    large = CounterRandom(range(40), "cuda").uniform((3, 224, 224), -0.1, 0.1)
    assert torch.equal(large.cpu(), CounterRandom(range(40)).uniform((3, 224, 224), -0.1, 0.1))


class _Watch(TorchDispatchMode):
    """Notes what moves numbers between a GPU and the CPU, or waits for one."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moved: list[str] = []

    @override
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = str(func)
        if "_to_copy" in name or "local_scalar" in name or "nonzero" in name:
            target = (kwargs or {}).get("device")
            if target is not None or "_to_copy" not in name:
                self.moved.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
def test_nothing_is_sent_to_a_gpu_or_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
    # A pretended GPU: tensors know where they are, but hold nothing that could be looked at.
    with FakeTensorMode():
        several, single = CounterRandom([1, 2], "cuda"), CounterRandom([1], "cuda")
        with _Watch() as watch:
            for random in (several, single, CounterRandom([2], "cuda")):
                for draw in DRAWS:
                    assert draw(random).device.type == "cuda"
        assert watch.moved == []
        with _Watch() as watch:
            torch.ones(3).to("cuda")
        assert watch.moved, "the watch sees nothing"


def test_another_device_is_sent_what_the_cpu_makes() -> None:
    random = CounterRandom([1, 2], "meta")
    assert random.uniform((3,)).device.type == "meta"
    assert random.integers((3,), 5).shape == (2, 3)
    assert random.normal((3,)).shape == (2, 3)


# --- Streams and their state


def test_calls_go_on_whatever_the_one_before_drew() -> None:
    short, long = CounterRandom([9]), CounterRandom([9])
    first, other = short.uniform((3,)), long.uniform((1000,))
    assert torch.equal(first[0], other[0, :3])
    assert torch.equal(short.normal((8,)), long.normal((8,)))
    assert not torch.equal(short.uniform((8,)), first[:, :1].expand(1, 8))


def test_a_stream_goes_on_where_its_stored_state_was_taken() -> None:
    random = CounterRandom([-1, 2**63 + 5])
    for draw in DRAWS:
        draw(random)
    stored = packed(taken(random), "test")
    expected = [draw(random) for draw in DRAWS]
    other = CounterRandom([1, 2])
    give(other, unpacked(stored, "test"))
    assert all(torch.equal(draw(other), one) for draw, one in zip(DRAWS, expected, strict=True))
    with pytest.raises(UsageError, match="2 random streams was given to 1"):
        CounterRandom([1]).load_state_dict(random.state_dict())


def test_a_generator_of_torch_gives_the_seed() -> None:
    first, again = (torch.Generator().manual_seed(4) for _ in range(2))
    one, two = (CounterRandom.drawn_from(first).uniform((9,)) for _ in range(2))
    assert torch.equal(CounterRandom.drawn_from(again).uniform((9,)), one)
    assert torch.equal(CounterRandom.drawn_from(again).uniform((9,)), two)
    assert not torch.equal(one, two)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        assert torch.equal(CounterRandom.drawn_from(None).uniform((9,)), one)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_of_more_bits_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match=f"2\\^64 - 1, found {seed}"):
        CounterRandom([0, seed])


@pytest.mark.parametrize("high", [0, -3, 2**63 + 1])
def test_whole_numbers_below_nothing_are_refused(high: int) -> None:
    with pytest.raises(UsageError, match=f"from 1 to 2\\^63, found {high}"):
        CounterRandom([0]).integers((2,), high)


# --- Whether it is random


def chance(counts: np.ndarray) -> float:
    return float(stats.chisquare(counts).pvalue)


SEEDS = [*range(12), *(2**place for place in (20, 31, 32, 40, 62, 63))]


@pytest.mark.parametrize("seed", SEEDS)
def test_chi_square_of_uniform_numbers(seed: int) -> None:
    found = CounterRandom([seed]).uniform((200_000,))[0].double().numpy()
    counts = np.histogram(found, bins=256, range=(0, 1))[0]
    assert chance(counts) > LEAST
    fine = (found * 2**24).astype(np.int64) % 256  # the last bits that are drawn
    assert chance(np.bincount(fine, minlength=256)) > LEAST


@pytest.mark.parametrize("seed", SEEDS)
def test_serial_test_of_pairs_and_triples(seed: int) -> None:
    found = (CounterRandom([seed]).uniform((240_000,))[0] * 16).long().numpy()
    for length, levels in ((2, 16), (3, 8)):
        groups = (found // (16 // levels)).reshape(-1, length)
        cells = groups @ levels ** np.arange(length)
        assert chance(np.bincount(cells, minlength=levels**length)) > LEAST


@pytest.mark.parametrize("step", [1, 2, 2**31, 2**32, 2**53])
def test_neighbours_in_seed_in_call_and_in_place_are_unrelated(step: int) -> None:
    seeds = [place * step % 2**63 for place in range(400)]
    random = CounterRandom(seeds)
    calls = torch.stack([(random.uniform((256,)) * 16).long() for _ in range(3)])
    # No number is in two pairs, so the pairs are independent.
    pairs = {
        "seeds": (calls[:, 0::2], calls[:, 1::2]),
        "calls": (calls[0], calls[1]),
        "calls, one between": (calls[0], calls[2]),
        "places": (calls[:, :, 0::2], calls[:, :, 1::2]),
    }
    for one, other in pairs.values():
        cells = (16 * one + other).flatten().numpy()
        assert chance(np.bincount(cells, minlength=256)) > LEAST


def test_p_values_over_many_seeds_are_uniform() -> None:
    found = CounterRandom(range(500)).uniform((6400,))
    cells = (found * 64).long().numpy()
    values = [chance(np.bincount(row, minlength=64)) for row in cells]
    assert stats.kstest(values, "uniform").pvalue > LEAST


def test_streams_do_not_correlate() -> None:
    count = 4000
    rows = CounterRandom(range(60)).uniform((count,)).double().numpy()
    found = np.corrcoef(rows)[np.triu_indices(60, 1)] * math.sqrt(count)
    # Nearly normal each: the largest of 1,770 by Bonferroni, and all of them together.
    assert np.abs(found).max() < stats.norm.isf(LEAST / 2 / len(found))
    assert stats.kstest(found, "norm").pvalue > LEAST


def test_each_bit_of_a_seed_turns_half_of_the_bits_that_are_drawn() -> None:
    count = 400
    for base in (0, 0x9E3779B97F4A7C15):
        keys = torch.tensor([signed(base)] + [signed(base ^ 1 << bit) for bit in range(64)])
        made = words_by_numpy(keys, Place(0), count).numpy().view(np.uint64)
        turned = np.bitwise_count(made[1:] ^ made[0]).sum(axis=1)
        for number in turned:
            assert stats.binomtest(int(number), 64 * count).pvalue > LEAST / 64


@pytest.mark.parametrize("seed", SEEDS)
def test_normal_numbers_have_the_normal_distribution(seed: int) -> None:
    count = 100_000
    found = CounterRandom([seed]).normal((count,))[0].double().numpy()
    assert stats.kstest(found, "norm").pvalue > LEAST
    edges = stats.norm.ppf(np.linspace(0, 1, 101))
    assert chance(np.histogram(found, bins=edges)[0]) > LEAST
    for size in (2.0, 3.0, 4.0):
        beyond = int((np.abs(found) > size).sum())
        assert stats.binomtest(beyond, count, 2 * stats.norm.sf(size)).pvalue > LEAST
    # Mean, variance, third and fourth moment, by the variance of each: 1, 2, 15, 96.
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        off = (np.mean(found**power) - mean) / math.sqrt(variance / count)
        assert abs(off) < stats.norm.isf(LEAST / 2)


@pytest.mark.parametrize("high", [2, 7, 10, 1000, 3 * 2**61])
def test_chi_square_of_whole_numbers(high: int) -> None:
    found = CounterRandom([high, 5]).integers((100_000,), high).flatten().numpy()
    cells = min(high, 7)
    levels = np.array([int(value) * cells // high for value in found])
    sizes = np.array(
        [-(-(level + 1) * high // cells) + (level * high // -cells) for level in range(cells)]
    )
    expected = sizes / sizes.sum() * len(found)
    assert stats.chisquare(np.bincount(levels, minlength=cells), expected).pvalue > LEAST
