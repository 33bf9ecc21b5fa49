"""What is smoothed and asked: models, draws and batches, bits at a radius, what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn
from typing_extensions import override

from hashbench import plugins
from hashbench.certifying import (
    SmoothedBits,
    Smoothing,
    certified_precision,
    linf_radius,
    majority_codes,
    smoothed_bits,
)
from hashbench.defending.answers import wrapped
from hashbench.defending.contract import WrappingDefense
from hashbench.eps import Eps
from hashbench.errors import UncertifiableError, UsageError
from hashbench.hashing.backbone import BackboneNet
from hashbench.hashing.counter_random import CounterRandom
from hashbench.hashing.model import HashModel
from hashbench.hashing.whole_model import WholeModel
from support.linear_hash import linear

CHANCE = 1e-9
"""With which a test of this file would fail by bad luck, had its seeds not been fixed."""


def one_pixel_each(bits: int = 6) -> HashModel:
    """Bit k looks at value k alone: exact in float32, in whatever order a batch adds."""
    return linear(torch.eye(bits, 12), torch.full((bits,), -0.5))


def same(one: SmoothedBits, other: SmoothedBits) -> bool:
    """To the last bit."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("codes", "radius", "abstained", "agreeing")
    )


def picked(bits: SmoothedBits, rows: NDArray[np.int64]) -> SmoothedBits:
    """Some of the images."""
    return SmoothedBits(
        bits.codes[rows],
        bits.radius[rows],
        bits.abstained[rows],
        bits.agreeing[rows],
        bits.values,
        bits.smoothing,
    )


class Shaken(HashModel):
    """A model that draws at random, by itself."""

    draws = 5

    @override
    def logits(self, images: Tensor) -> Tensor:
        return super().logits(images) + 0.2 * torch.randn(len(images), self.bits)


def shaken() -> HashModel:
    """The same as `one_pixel_each`, shaken."""
    model = Shaken(BackboneNet(nn.Flatten(), 12, (0.0,), (1.0,)), 6).eval()
    model.load_state_dict(one_pixel_each().state_dict())
    return model


@pytest.mark.parametrize("make", [one_pixel_each, shaken])
def test_neither_the_batch_nor_the_order_changes_anything(make: Callable[[], HashModel]) -> None:
    model, images = make(), torch.rand(5, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    asked, seeds = Smoothing(0.3, draws=40, selection=10), [5, -1, 2**63, 7, 0]
    found = smoothed_bits(model, images, asked, seeds)
    for at_once in (1, 7, 40, 1000):
        assert same(found, smoothed_bits(model, images, asked, seeds, at_once=at_once))
    order = np.array([3, 0, 4, 2, 1])
    moved = smoothed_bits(model, images[order], asked, [seeds[row] for row in order])
    assert same(picked(found, order), moved)
    alone = smoothed_bits(model, images[2:3], asked, seeds[2:3])
    assert same(picked(found, np.array([2])), alone)
    assert not same(found, smoothed_bits(model, images, asked, range(5))), "other seeds"


def test_rounds_have_draws_of_their_own() -> None:
    model, images = one_pixel_each(), torch.full((40, 3, 2, 2), 0.5)
    asked = [Smoothing(0.3, draws=draws, selection=11) for draws in (11, 300)]
    short, long = (smoothed_bits(model, images, each, range(40)) for each in asked)
    assert (short.codes == long.codes).all(), "estimating leaves the selection alone"
    assert (majority_codes(model, images, asked[0], range(40)) == short.codes).all()
    # On the plane: had both rounds the same draws, the majority would always agree.
    assert (short.agreeing < 6).any()


def test_noise_is_not_cut_and_has_its_deviation() -> None:
    seen: list[Tensor] = []

    class Watched(nn.Module):
        @override
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images.clone())
            return images.flatten(1)[:, :2]

    images = torch.full((2, 1, 3, 4), 0.25)
    smoothed_bits(WholeModel(Watched(), 2), images, Smoothing(0.5, draws=2000), [1, 2])
    values = torch.cat(seen).double().flatten().numpy()
    assert values.size == 2 * 2100 * 12
    assert values.min() < 0
    assert values.max() > 1
    assert stats.kstest(values, stats.norm(0.25, 0.5).cdf).pvalue > CHANCE
    assert len(torch.cat(seen).flatten(1).unique(dim=0)) == 2 * 2100, "no draw comes twice"


def test_a_model_that_draws_is_certified_with_its_draws() -> None:
    # Its own noise is along the margin: as if there were less of a margin for the same noise.
    image = torch.full((1, 3, 2, 2), 0.8)
    model, before = shaken(), torch.random.get_rng_state()
    found = smoothed_bits(model, image, Smoothing(0.3, draws=600), [4])
    assert torch.equal(before, torch.random.get_rng_state())
    votes = stats.binom(600, stats.norm.cdf(0.3 / math.hypot(0.3, 0.2)))
    least, most = votes.ppf([CHANCE / 2, 1 - CHANCE / 2])
    assert ((least <= found.agreeing) & (found.agreeing <= most)).all()
    assert len(set(found.agreeing[0].tolist())) > 1


def test_a_black_box_is_asked_for_its_codes_alone_and_left_as_it_was() -> None:
    class Signs(nn.Module):
        @override
        def forward(self, images: Tensor) -> Tensor:
            assert not self.training
            assert not torch.is_grad_enabled()
            return (images.flatten(1)[:, :6] >= 0.5).float() * 2 - 1

    images = torch.rand(3, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    model = WholeModel(Signs(), 6, bounded=True, differentiable=False).train()
    asked = Smoothing(0.3, draws=200)
    assert same(
        smoothed_bits(model, images, asked, range(3)),
        smoothed_bits(one_pixel_each(), images, asked, range(3)),
    )
    assert model.training


@pytest.mark.parametrize("defense", ["bit-depth:bits=3", "jpeg", "resize-pad"])
def test_wrapped_models_are_certified_as_they_are(defense: str) -> None:
    # Whole steps of pixels make the sums of `one_pixel_each` no less exact.
    plugin = plugins.get("defense", defense)
    assert isinstance(plugin, WrappingDefense)
    model = HashModel(BackboneNet(nn.Flatten(), 256, (0.0,), (1.0,)), 6).eval()
    with torch.no_grad():
        model.hash_layer.weight.copy_(torch.eye(6, 256))
        model.hash_layer.bias.fill_(-0.45)
    wrapper = wrapped(plugin, model).eval()
    images = torch.full((2, 1, 16, 16), 0.8)
    found, again = (
        smoothed_bits(wrapper, images, Smoothing(0.2, draws=100), [1, 2], at_once=at_once)
        for at_once in (500, 3)
    )
    assert same(found, again)
    if defense != "resize-pad":  # which puts a border where the first pixels were
        assert (found.codes == 1).all()
        assert not found.abstained.all()


def certified() -> SmoothedBits:
    """Of known radii."""
    return SmoothedBits(
        np.array([[1, -1, 1, -1]], np.int8),
        np.array([[0.0, 0.25, 0.5, 1.0]]),
        np.array([[True, False, False, False]]),
        np.zeros((1, 4), np.int64),
        100,
        Smoothing(0.5),
    )


def test_bits_at_a_radius() -> None:
    bits = certified()
    assert bits.at(0).tolist() == [[0, -1, 1, -1]]
    assert bits.at(0.25).tolist() == [[0, 0, 1, -1]], "at its own radius a bit may be a tie"
    assert bits.at(0.49).tolist() == [[0, 0, 1, -1]]
    assert bits.at(2).tolist() == [[0, 0, 0, 0]]
    assert bits.at(0).dtype == np.int8
    database, labels = np.array([[1, -1, 1, -1], [-1, 1, 1, -1]]), np.eye(2, dtype=int)
    proven = [
        certified_precision(bits.at(radius), [[1, 0]], database, labels).average_precision[0]
        for radius in (0, 0.3)
    ]
    # Two uncertain bits can bring the other item to the front; one brings a tie, at worst last.
    assert proven == [0.5, 0.5]


def test_what_it_says_in_l_infinity() -> None:
    bits = certified()
    assert linf_radius(bits.radius, 100).tolist() == [[0, 0.025, 0.05, 0.1]]
    assert bits.at_linf(Eps.parse("0")).tolist() == bits.at(0).tolist()
    assert bits.at_linf(Eps.parse("0.0249")).tolist() == [[0, -1, 1, -1]]
    assert bits.at_linf(Eps.parse("0.025")).tolist() == [[0, 0, 1, -1]]
    # A corner of the ball lies in the l2 ball that was asked for.
    image, eps = torch.full((1, 1, 10, 10), 0.37), Eps.parse("8/255")
    corner = (image + float(eps)).double()
    distance = float((corner - image.double()).norm())
    exact = SmoothedBits(
        bits.codes, np.full((1, 4), distance), bits.abstained, bits.agreeing, 100, bits.smoothing
    )
    assert exact.at_linf(eps).tolist() == [[0, 0, 0, 0]]


def test_no_images() -> None:
    found = smoothed_bits(one_pixel_each(), torch.rand(0, 3, 2, 2), Smoothing(0.5), [])
    assert found.codes.shape == found.radius.shape == found.at(0.5).shape == (0, 6)
    assert found.abstentions == 0


def test_no_more_noisy_images_are_made_at_once_than_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passes: list[int] = []
    real = CounterRandom.normal

    def watched(noise: CounterRandom, shape: Sequence[int]) -> Tensor:
        passes.append(len(noise))
        return real(noise, shape)

    monkeypatch.setattr(CounterRandom, "normal", watched)
    images, asked = torch.rand(3, 3, 2, 2), Smoothing(0.5, draws=200, selection=20)
    smoothed_bits(one_pixel_each(), images, asked, range(3), at_once=50)
    # Over the images, so that a few draws of each fill a pass too.
    assert passes == [50, 10, *[50] * 12]


def test_where_memory_runs_out_fewer_go_together() -> None:
    class Small(HashModel):
        @override
        def logits(self, images: Tensor) -> Tensor:
            if len(images) > 16:
                raise MemoryError
            return super().logits(images)

    model = Small(BackboneNet(nn.Flatten(), 12, (0.0,), (1.0,)), 6).eval()
    model.load_state_dict(one_pixel_each().state_dict())
    images, asked = torch.rand(2, 3, 2, 2), Smoothing(0.3, draws=100, selection=5)
    assert same(
        smoothed_bits(model, images, asked, [1, 2]),
        smoothed_bits(one_pixel_each(), images, asked, [1, 2]),
    )


@pytest.mark.parametrize("sigma", [0, -0.5, math.nan, math.inf, 1e-9, "0.5", None, True])
def test_a_deviation_that_is_none(sigma: Any) -> None:
    with pytest.raises(UsageError, match=r"sigma is .*, but the deviation of the noise must be"):
        Smoothing(sigma)


@pytest.mark.parametrize("name", ["draws", "selection"])
@pytest.mark.parametrize("count", [0, -1, 1.5, "100", True])
def test_a_number_of_draws_that_is_none(name: str, count: Any) -> None:
    with pytest.raises(UsageError, match=f"{name}: expected a whole number of at least 1, found"):
        Smoothing(0.5, **{name: count})


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 2, math.nan, "0.1"])
def test_a_confidence_that_is_none(alpha: Any) -> None:
    with pytest.raises(UsageError, match=r"alpha is .*, but the probability of an error must lie"):
        Smoothing(0.5, alpha=alpha)


@pytest.mark.parametrize("radius", [-0.1, math.nan, math.inf, "0.5", None])
def test_a_radius_that_is_none(radius: Any) -> None:
    with pytest.raises(UsageError, match=r"radius is .*, but an l2 radius must be a finite number"):
        certified().at(radius)


@pytest.mark.parametrize(
    ("images", "seeds", "sentence"),
    [
        (torch.rand(3, 2, 2), [0] * 3, r"found float32 of shape \(3, 2, 2\)"),
        (torch.zeros(1, 3, 2, 2, dtype=torch.uint8), [0], r"found uint8 of shape \(1, 3, 2, 2\)"),
        (torch.rand(2, 3, 2, 2), [0], "seeds: expected one for each of 2 images, found 1"),
        (np.zeros((1, 3, 2, 2)), [0], "images: expected a tensor of torch, found ndarray"),
        (torch.rand(1, 3, 2, 2), 0, "seeds: expected a list of whole numbers, .*, found 0"),
        (torch.rand(1, 3, 2, 2), ["a"], "seeds: expected whole numbers, found 'a'"),
        (torch.rand(1, 3, 2, 2) + 2, [0], r"images: expected values in \[0, 1\]"),
        (torch.full((1, 3, 2, 2), math.nan), [0], "found one outside of it, or NaN"),
    ],
)
def test_images_or_seeds_that_are_none(images: Any, seeds: Any, sentence: str) -> None:
    for ask in (smoothed_bits, majority_codes):
        with pytest.raises(UsageError, match=sentence):
            ask(one_pixel_each(), images, Smoothing(0.5), seeds)
    with pytest.raises(UsageError, match="at_once: expected a whole number"):
        smoothed_bits(one_pixel_each(), torch.rand(0, 3, 2, 2), Smoothing(0.5), [], at_once=0)


def test_a_model_that_gives_no_numbers() -> None:
    broken = one_pixel_each()
    with torch.no_grad():
        broken.hash_layer.weight[0, 0] = math.nan
    for model in (broken, WholeModel(broken, 6)):
        with pytest.raises(
            UncertifiableError, match=r"codes under noise of deviation 0.5 are not known.*NaN"
        ):
            smoothed_bits(model, torch.rand(2, 3, 2, 2), Smoothing(0.5), [0, 1])
