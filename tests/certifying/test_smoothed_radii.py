"""Radii by smoothing: closed forms of a linear hash, the confidence by simulation, attacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor, nn
from typing_extensions import override

from hashbench.certifying import (
    Smoothing,
    smoothed_bits,
    smoothing,
)
from hashbench.hashing.model import HashModel
from hashbench.hashing.whole_model import WholeModel
from support.linear_hash import linear

CHANCE = 1e-9
"""With which a test of this file would fail by bad luck, had its seeds not been fixed."""


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
