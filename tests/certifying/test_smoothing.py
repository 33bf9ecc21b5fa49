"""Bits certified by smoothing: closed forms of a linear hash, and the confidence by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import optimize, stats
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
    smoothing,
)
from hashbench.defending.answers import wrapped
from hashbench.defending.contract import WrappingDefense
from hashbench.eps import Eps
from hashbench.errors import UncertifiableError, UsageError
from hashbench.hashing.backbone import BackboneNet
from hashbench.hashing.counter_random import CounterRandom
from hashbench.hashing.model import HashModel
from hashbench.hashing.whole_model import WholeModel

CHANCE = 1e-9
"""With which a test of this file would fail by bad luck, had its seeds not been fixed."""


def linear(weight: Tensor, bias: Tensor) -> HashModel:
    """`sign(w x + b)` of all pixel values."""
    model = HashModel(BackboneNet(nn.Flatten(), weight.shape[1], (0.0,), (1.0,)), len(weight))
    with torch.no_grad():
        model.hash_layer.weight.copy_(weight)
        model.hash_layer.bias.copy_(bias)
    return model.eval()


def rotated(bits: int, values: int, distances: Tensor) -> tuple[HashModel, Tensor]:
    """A linear hash whose bits vote independently, and one image at these distances of its planes.

    Rows of a rotation: noise along them is independent.
    """
    generator = torch.Generator().manual_seed(bits)
    square = torch.randn(values, values, generator=generator, dtype=torch.float64)
    weight = torch.linalg.qr(square).Q[:bits] * torch.linspace(0.3, 3, bits)[:, None]
    image = torch.rand(1, 1, 1, values, generator=generator)
    bias = distances * weight.norm(dim=1) - weight @ image.flatten().double()
    return linear(weight.float(), bias.float()), image


def true_radii(model: HashModel, images: Tensor) -> NDArray[np.float64]:
    """`|w x + b| / ||w||`, (B, K): that of a linear hash, plain or smoothed."""
    weight, bias = model.hash_layer.weight.double(), model.hash_layer.bias.double()
    margins = images.flatten(1).double() @ weight.T + bias
    found: NDArray[np.float64] = (margins.abs() / weight.norm(dim=1)).detach().numpy()
    return found


def wrong_radii(
    model: HashModel, image: Tensor, asked: Smoothing, trials: int
) -> NDArray[np.bool_]:
    """Whether some bit's radius is larger than the true one, in each of so many certificates."""
    images = image.expand(trials, -1, -1, -1)
    found = smoothed_bits(model, images, asked, range(trials))
    return np.asarray((found.radius > true_radii(model, image)).any(axis=1))


def chance_of_error(distances: Tensor, asked: Smoothing) -> float:
    """The exact probability that some bit's radius is too large, for bits that vote alone."""
    right = 1.0
    level = asked.alpha / len(distances)
    counts = np.arange(1, asked.draws + 1)
    bounds = stats.beta.ppf(level, counts, asked.draws - counts + 1)
    for distance in distances.abs().tolist():
        probability = stats.norm.cdf(distance / asked.sigma)
        # Of the right value, p is bounded too high; of the other one, 1 - p.
        wrong_side = stats.binom.cdf((asked.selection - 1) // 2, asked.selection, probability)
        error = 0.0
        for chance, value in ((1 - wrong_side, probability), (wrong_side, 1 - probability)):
            too_high = counts[bounds > max(probability, 0.5)]
            if len(too_high):
                error += chance * stats.binom.sf(too_high[0] - 1, asked.draws, value)
        right *= 1 - error
    return 1 - right


TRIALS = 1000


@pytest.mark.parametrize(("bits", "alpha", "draws"), [(8, 0.05, 300), (1, 0.3, 100)])
def test_radii_are_too_large_as_often_as_the_binomial_says_and_at_most_alpha(
    bits: int, alpha: float, draws: int
) -> None:
    # Of 1,000 certificates: the number of those with an error is binomial, its chance known.
    distances = torch.linspace(0.15, 0.6, bits).double()
    model, image = rotated(bits, 12, distances)
    asked = Smoothing(0.5, draws=draws, selection=100, alpha=alpha)
    errors = int(wrong_radii(model, image, asked, TRIALS).sum())
    chance = chance_of_error(distances, asked)
    assert 0 < chance <= alpha
    assert errors <= stats.binom.isf(CHANCE, TRIALS, alpha), "more than alpha allows"
    least, most = (stats.binom.ppf(part, TRIALS, chance) for part in (CHANCE / 2, 1 - CHANCE / 2))
    assert least <= errors <= most


def drawn(distances: Tensor, seed: int) -> Callable[..., NDArray[np.int64]]:
    """Votes from numpy's binomials in the place of noise, for many certificates."""
    random = np.random.default_rng(seed)

    def votes(_: Any, images: Tensor, sigma: float, draws: int, *__: Any) -> NDArray[np.int64]:
        chances = stats.norm.cdf(distances.numpy() / sigma)
        return random.binomial(draws, chances, (len(images), len(chances)))

    return votes


MANY = 50_000


@pytest.mark.parametrize(
    ("bits", "alpha", "draws", "selection"),
    [(32, 0.001, 1000, 100), (4, 0.001, 100, 1), (16, 0.05, 1000, 9), (1, 0.5, 50, 50)],
)
def test_of_many_radii_no_larger_share_than_alpha_is_too_large(
    bits: int, alpha: float, draws: int, selection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On the plane of the first bit and near those of others, where the selection often errs.
    distances = torch.linspace(0, 0.9, bits).double()
    model, image = rotated(bits, 40, distances)
    asked = Smoothing(0.5, draws=draws, selection=selection, alpha=alpha)
    monkeypatch.setattr(smoothing, "votes", drawn(distances, 1))
    errors = int(wrong_radii(model, image, asked, MANY).sum())
    chance = chance_of_error(distances, asked)
    assert chance <= alpha
    least, most = (stats.binom.ppf(part, MANY, chance) for part in (CHANCE / 2, 1 - CHANCE / 2))
    assert least <= errors <= most <= max(MANY * alpha, stats.binom.isf(CHANCE, MANY, alpha))


def share_itself(successes: Any, trials: int, _: float) -> NDArray[np.float64]:
    """No bound, but the estimate."""
    return np.asarray(successes) / trials


def all_bits_at_one_level(successes: Any, trials: int, alpha: float) -> NDArray[np.float64]:
    """As if each bit could have all of alpha; there are eight."""
    return np.asarray(stats.beta.ppf(8 * alpha, successes, trials - np.asarray(successes) + 1))


@pytest.mark.parametrize("wrong", [share_itself, all_bits_at_one_level])
def test_the_simulation_sees_bounds_that_are_none(
    wrong: Callable[..., NDArray[np.float64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    distances = torch.linspace(0.15, 0.6, 8).double()
    model, image = rotated(8, 12, distances)
    monkeypatch.setattr(smoothing, "votes", drawn(distances, 2))
    monkeypatch.setattr(smoothing, "least_probability", wrong)
    errors = wrong_radii(model, image, Smoothing(0.5, draws=300, alpha=0.05), TRIALS).sum()
    assert errors > stats.binom.isf(CHANCE, TRIALS, 0.05)


def test_the_simulation_sees_a_majority_that_is_estimated_by_the_draws_that_chose_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On the plane of each of eight bits the larger half always is more than a half.
    distances = torch.zeros(8).double()
    model, image = rotated(8, 12, distances)
    votes = drawn(distances, 3)
    kept: dict[int, NDArray[np.int64]] = {}

    def again(_: Any, images: Tensor, sigma: float, draws: int, *rest: Any) -> NDArray[np.int64]:
        return kept.setdefault(draws, votes(_, images, sigma, draws, *rest))

    monkeypatch.setattr(smoothing, "votes", again)
    asked = Smoothing(0.5, draws=300, selection=300, alpha=0.05)
    errors = wrong_radii(model, image, asked, MANY).sum()
    assert errors > stats.binom.isf(CHANCE, MANY, 0.05)


def test_with_many_draws_the_radius_is_close_to_the_true_one() -> None:
    distances = torch.tensor([0.05, -0.2, 0.5, -1.0]).double()
    model, image = rotated(4, 9, distances)
    asked = Smoothing(0.5, draws=40_000, selection=10_000)
    found = smoothed_bits(model, image, asked, [7])
    true = true_radii(model, image)
    assert found.codes.tolist() == [[1, -1, 1, -1]]
    assert (found.radius <= true).all()  # fails with a probability of alpha, 0.001
    # No fewer votes than the binomial's quantile, but with a probability of 4e-9.
    votes = stats.binom.ppf(CHANCE, asked.draws, stats.norm.cdf(true / asked.sigma))
    bounds = stats.beta.ppf(asked.alpha / 4, votes, asked.draws - votes + 1)
    assert (found.radius >= asked.sigma * stats.norm.ppf(bounds)).all()
    # 6.0 and 3.7 deviations of the quantile: sqrt(p (1 - p) / n) / phi, at most 0.067 together.
    assert (asked.sigma * stats.norm.ppf(bounds) > true - 0.07).all(), "that is close"


def test_the_radius_is_the_quantile_of_the_bound() -> None:
    model, image = rotated(3, 9, torch.tensor([0.3, -0.4, 0.0]).double())
    asked = Smoothing(0.25, draws=500, selection=11, alpha=0.01)
    found = smoothed_bits(model, image, asked, [3])
    bounds = stats.beta.ppf(0.01 / 3, found.agreeing, 501 - found.agreeing)
    radii = np.where(bounds > 0.5, 0.25 * stats.norm.ppf(bounds), 0)
    np.testing.assert_allclose(found.radius, radii, rtol=1e-10, atol=0)
    assert found.abstained.tolist() == [[False, False, True]]
    assert (found.radius[found.abstained] == 0).all()
    assert found.abstentions == pytest.approx(1 / 3)
    assert found.values == 9


class Window(nn.Module):
    """A hash of one pixel, +1 where it lies in windows around 1/2: not linear."""

    @override
    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([0.2, 0.4, 0.8]) - (images.flatten(1) - 0.5).abs()


def test_a_window_is_certified_no_further_than_its_majority_reaches() -> None:
    # P(+1) at x is Phi((c - u) / s) - Phi((-c - u) / s), u = x - 1/2; it is 1/2 at an unknown u,
    # which is where the smoothed bit turns. 0.2 is in the minority everywhere, so -1 at any radius.
    sigma = 0.5
    places = torch.linspace(0, 1, 9)
    images = places.view(-1, 1, 1, 1)
    found = smoothed_bits(WholeModel(Window(), 3), images, Smoothing(sigma, draws=4000), range(9))
    offsets = np.abs(places.numpy() - 0.5)[:, None]

    def excess(offset: float, width: float) -> float:
        above, below = ((side * width - offset) / sigma for side in (1, -1))
        return float(stats.norm.cdf(above) - stats.norm.cdf(below) - 0.5)

    turns = [optimize.brentq(excess, 0, 2, args=(width,)) for width in (0.4, 0.8)]
    majority = np.where(offsets < turns, 1, -1)
    told = ~found.abstained
    assert told[:, 0].all()
    assert (found.codes[:, 0] == -1).all()
    assert (found.codes[:, 1:] == majority)[told[:, 1:]].all()
    assert (found.radius[:, 1:] <= np.abs(offsets - turns)).all()
    assert found.radius[:, 2].max() > 0.2, "it says something"


def attacked(
    network: nn.Module, images: Tensor, codes: Tensor, radii: Tensor, sigma: float
) -> Tensor:
    """For each bit of each image the image that an l2 attack finds at most at its radius.

    It follows the mean output under noise, as who knows the smoothed hash would.

    Args:
        network: gives (B, K).
        images: (B, 1, 1, d).
        codes: (B, K).
        radii: (B, K).
        sigma: of the noise.

    Returns:
        (B, K, d).
    """
    bits = codes.shape[1]
    origin = images.flatten(1)[:, None, :].expand(-1, bits, -1)
    moved = torch.zeros_like(origin)
    noise = sigma * torch.randn(200, *origin.shape, generator=torch.Generator().manual_seed(5))
    for _ in range(15):
        point = moved.clone().requires_grad_(True)
        outputs = network((origin + point + noise).reshape(-1, 1, 1, origin.shape[-1]))
        own = outputs.view(200, len(images), bits, bits).diagonal(dim1=2, dim2=3)
        (gradient,) = torch.autograd.grad((own.mean(0) * codes).sum(), point)
        step = gradient / gradient.norm(dim=2, keepdim=True).clamp_min(1e-12)
        moved = torch.sub(moved, 0.3 * radii[..., None] * step)
        size = moved.norm(dim=2, keepdim=True).clamp_min(1e-12)
        moved = moved * torch.clamp(radii[..., None] / size, max=1)
    return torch.add(origin, moved)


@pytest.mark.parametrize(("share", "turned"), [(0.999, False), (1.6, True)])
def test_no_attack_inside_the_radius_turns_a_bit_of_a_network(share: float, turned: bool) -> None:
    # Beyond it some turn: so the attack is one, and radii that are too large are found out.
    generator = torch.Generator().manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(10, 24), nn.Tanh(), nn.Linear(24, 6), nn.Tanh())
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn(value.shape, generator=generator))
    model, images = WholeModel(network, 6), torch.rand(5, 1, 1, 10, generator=generator)
    asked = Smoothing(0.3, draws=3000)
    found = smoothed_bits(model, images, asked, range(5))
    told = ~found.abstained
    assert told.sum() > 15
    codes, radii = torch.from_numpy(found.codes).float(), torch.from_numpy(found.radius).float()
    moved = attacked(network, images, codes, share * radii, asked.sigma).reshape(-1, 1, 1, 10)
    noise = torch.randn(4000, *moved.shape, generator=generator)
    votes = torch.zeros(len(moved), 6, dtype=torch.int64)
    for draw in noise:
        votes += model.codes(moved + asked.sigma * draw) > 0
    own = votes.view(5, 6, 6).diagonal(dim1=1, dim2=2).numpy()
    other = np.where(found.codes > 0, 4000 - own, own)
    beaten = (stats.beta.ppf(CHANCE, np.maximum(other, 1), 4001 - other) > 0.5) & told
    assert beaten.any() == turned


def test_the_plain_code_is_another_than_that_of_the_smoothed_hash() -> None:
    image = torch.full((1, 1, 1, 1), 0.5)
    model = WholeModel(Window(), 3)
    found = smoothed_bits(model, image, Smoothing(0.5), [0])
    assert model.codes(image).tolist() == [[1, 1, 1]]
    assert found.codes[0, 0] == -1
    assert found.radius[0, 0] > 0


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
