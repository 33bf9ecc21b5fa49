"""L2 balls: nearest points, whole levels, uniform draws, steps of a length; closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hashbench.attacking import (
    AdamStep,
    Eps,
    L2Step,
    Momentum,
    MomentumStep,
    Norm,
    QueryRandom,
    SignStep,
    Threat,
    descend,
    drawn_at_edge,
    drawn_inside,
    gradient_of,
    steepest_step,
)
from hashbench.attacking.answer import outermost
from hashbench.attacking.ball import unit_length
from hashbench.attacking.descent import Update
from hashbench.attacking.step_rules import VarianceTuning
from hashbench.data import PixelValues
from hashbench.hashing.encode import as_images

RADII = st.sampled_from(["l2:0", "l2:1e-6", "l2:0.01", "l2:1/2", "l2:3", "l2:1000"])
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.sampled_from([(1, 1, 1), (1, 3, 3), (3, 8, 8)])
HALF = Threat(Eps.parse("l2:0.5"))


def some(shape: tuple[int, ...], seed: int, queries: int = 3) -> tuple[Tensor, torch.Generator]:
    """Images in the box, some of whose values lie at its ends."""
    rng = torch.Generator().manual_seed(seed)
    images = (torch.rand(queries, *shape, generator=rng) * 1.4 - 0.2).clamp(0, 1)
    return images, rng


def rounded(images: Tensor) -> float:
    """What the sums of float32 pixels below 1 and their changes round at most, over an image."""
    return float(2.0**-25 * math.sqrt(images[0].numel()))


# ---- the nearest point ---------------------------------------------------------------------------


@given(eps=RADII, seed=SEEDS, shape=SHAPES, scale=st.sampled_from([1e-7, 0.01, 1.0, 1e6, 1e38]))
def test_a_projected_point_lies_in_ball_and_box_and_stays_there(
    eps: str, seed: int, shape: tuple[int, ...], scale: float
) -> None:
    images, rng = some(shape, seed)
    threat = Threat(Eps.parse(eps))
    anything = images + scale * torch.randn(images.shape, generator=rng)
    found = threat.project(anything, images)
    assert found.min() >= 0
    assert found.max() <= 1
    assert bool((threat.distance(found, images) <= threat.radius + rounded(images)).all())
    assert threat.distance(found, images).max() <= outermost(threat, images)
    assert torch.equal(threat.project(found, images), found)
    if threat.radius == 0:
        assert torch.equal(found, images)


@given(eps=RADII, seed=SEEDS, shape=SHAPES)
def test_a_point_of_ball_and_box_stays_to_the_bit(
    eps: str, seed: int, shape: tuple[int, ...]
) -> None:
    images, rng = some(shape, seed)
    threat = Threat(Eps.parse(eps))
    change = unit_length(torch.randn(images.shape, generator=rng))
    inside = (images + 0.999 * threat.radius * change).clamp(0, 1)
    if threat.radius == 0:
        assert torch.equal(inside, images)
    assert torch.equal(threat.project(inside, images), inside)


@given(seed=SEEDS, shape=SHAPES, radius=st.sampled_from([0.01, 0.2]), far=st.floats(1.01, 1e4))
def test_where_the_box_does_not_cut_it_is_the_nearest_point_of_the_ball(
    seed: int, shape: tuple[int, ...], radius: float, far: float
) -> None:
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(3, *shape, generator=rng) / 2 + 0.25
    away = torch.randn(images.shape, generator=rng).double()
    length = away.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    anything = (images.double() + far * radius * away / length).float()
    # The point of the segment between center and point that is a radius away, in float64.
    change = anything.double() - images.double()
    wanted = images.double() + radius * change / change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    found = Threat(Eps.parse(f"l2:{radius}")).project(anything, images)
    # It stays a share of 2^-20 below, and float32 rounds.
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=radius * 2**-19 + 2**-24)


def test_values_without_end_and_none_at_all() -> None:
    images = torch.full((3, 1, 2, 2), 0.5)
    far = images.clone()
    far[0, 0, 0, 0], far[1, 0, 0, 0] = math.inf, -math.inf
    far[2, 0, 0, 0] = math.nan
    found = HALF.project(far, images)
    assert found[0, 0, 0, 0] == pytest.approx(1.0, abs=1e-6)
    assert found[1, 0, 0, 0] == pytest.approx(0.0, abs=1e-6)
    assert found[2].isnan().all()
    nothing = images[:0]
    assert HALF.project(nothing, nothing).shape == nothing.shape
    assert HALF.distance(nothing, nothing).shape == (0,)


def test_the_distance_is_that_of_the_norm() -> None:
    images = torch.zeros(2, 1, 2, 2)
    moved = torch.tensor([[0.3, 0.0, 0.0, -0.4], [0.0, 0.0, 0.25, 0.0]]).view(2, 1, 2, 2)
    assert HALF.distance(moved, images).tolist() == pytest.approx([0.5, 0.25])
    assert Threat(Eps.parse("0.5")).distance(moved, images).tolist() == pytest.approx([0.4, 0.25])


# ---- whole levels --------------------------------------------------------------------------------


@given(
    eps=st.sampled_from(["l2:0", "l2:1/255", "l2:2/255", "l2:0.00784313725490196", "l2:0.1"])
    | st.sampled_from(["l2:1/2", "l2:3", "l2:1000"]),
    seed=SEEDS,
    shape=SHAPES,
    scale=st.sampled_from([0.002, 0.02, 1.0, 50.0]),
)
def test_whole_levels_lie_in_ball_and_box_exactly(
    eps: str, seed: int, shape: tuple[int, ...], scale: float
) -> None:
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
    images = as_images(clean, torch.device("cpu"))
    threat = Threat(Eps.parse(eps), PixelValues.EIGHT_BIT)
    generator = torch.Generator().manual_seed(seed)
    anything = images + scale * torch.randn(images.shape, generator=generator)
    found = threat.settled(anything, images)
    levels = (found.double() * 255).round().to(torch.uint8).numpy()
    assert torch.equal(found, as_images(levels, torch.device("cpu")))
    changes = levels.astype(np.int64) - clean.astype(np.int64)
    for change in changes:
        assert int((change**2).sum()) <= (Eps.parse(eps).fraction * 255) ** 2
    assert torch.equal(threat.settled(found, images), found)
    if threat.radius == 0:
        assert torch.equal(found, images)
    # No pixel went the other way, or farther than it was moved and rounded.
    asked = 255.0 * (anything.double() - images.double()).numpy()
    assert (np.abs(changes) <= np.abs(asked) + 0.5 + 1e-4).all()
    assert ((changes == 0) | (np.sign(changes) == np.sign(asked))).all()


def test_the_nearest_levels_are_taken_where_the_ball_holds_them() -> None:
    clean = torch.full((1, 1, 1, 3), 100)
    images = (clean / 255).float()
    moved = images + torch.tensor([2.6, -1.4, 0.2]) / 255
    for eps, wanted in (
        ("l2:4/255", [3, -1, 0]),  # sqrt(10) levels
        ("l2:3/255", [2, -1, 0]),  # those are out: each is rounded to its clean value
        ("l2:1/255", [1, 0, 0]),  # of the projected point, 0.88 levels to the right
        ("l2:1/510", [0, 0, 0]),
    ):
        threat = Threat(Eps.parse(eps), PixelValues.EIGHT_BIT)
        found = (threat.settled(moved, images) * 255).round().long() - clean
        assert found.flatten().tolist() == wanted


def test_the_edge_of_the_grid_is_counted_as_a_fraction() -> None:
    images = torch.zeros(1, 1, 1, 1)
    moved = torch.full_like(images, 2 / 255)
    below = "0.00784313725490196"  # less than 2/255 by 8e-19
    assert 0 < Fraction(2, 255) - Fraction(below) < Fraction(1, 10**17)
    for text, wanted in (("2/255", 2), (below, 1)):
        threat = Threat(Eps.parse(f"l2:{text}"), PixelValues.EIGHT_BIT)
        assert round(255 * float(threat.settled(moved, images))) == wanted


def test_in_float_the_answer_is_the_projected_point() -> None:
    images, rng = some((3, 4, 4), 1)
    anything = images + torch.randn(images.shape, generator=rng)
    assert torch.equal(HALF.settled(anything, images), HALF.project(anything, images))


# ---- what is drawn -------------------------------------------------------------------------------


def test_l_infinity_draws_what_it_always_drew() -> None:
    seeds, shape = [3, 5], (2, 3, 3)
    found = drawn_inside(Norm.LINF, 0.1, shape, QueryRandom(seeds))
    assert torch.equal(found, QueryRandom(seeds).uniform(shape, -0.1, 0.1))
    coin = QueryRandom(seeds).uniform(shape)
    ends = drawn_at_edge(Norm.LINF, 0.1, shape, QueryRandom(seeds))
    assert torch.equal(ends, 0.1 * torch.where(coin < 0.5, -1.0, 1.0))


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 2, 2), (3, 4, 4)])
def test_draws_in_an_l2_ball_are_uniform(shape: tuple[int, int, int]) -> None:
    count, values = 4000, math.prod(shape)
    drawn = drawn_inside(Norm.L2, 0.7, shape, QueryRandom(range(count))).flatten(1).double()
    away = drawn.norm(dim=1) / 0.7
    assert float(away.max()) <= 1 + 1e-6
    # (r / R)^d is uniform on [0, 1]; that the largest gap is wider has the chance 1e-6 (Massart).
    shares = (away**values).sort().values
    steps = torch.arange(1, count + 1, dtype=torch.float64) / count
    assert float((shares - steps).abs().max()) < math.sqrt(math.log(2 / 1e-6) / (2 * count))
    # No direction is preferred: each value of a unit vector has mean 0 and variance 1/d.
    units = drawn / drawn.norm(dim=1, keepdim=True)
    assert float(units.mean(dim=0).abs().max()) < 5 / math.sqrt(values * count)
    assert float((units.square().mean(dim=0) - 1 / values).abs().max()) < 5 / math.sqrt(count)


def test_noise_at_the_edge_of_an_l2_ball_is_as_long_as_the_radius() -> None:
    drawn = drawn_at_edge(Norm.L2, 0.7, (3, 5, 5), QueryRandom(range(50)))
    lengths = drawn.double().flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 0.7), rtol=1e-6, atol=0)


@pytest.mark.parametrize("draw", [drawn_inside, drawn_at_edge])
def test_a_querys_draw_in_l2_depends_on_its_seed_alone(draw: Callable[..., Tensor]) -> None:
    seeds, shape = list(range(40, 57)), (3, 6, 6)
    whole = draw(Norm.L2, 0.3, shape, QueryRandom(seeds))
    alone = torch.cat([draw(Norm.L2, 0.3, shape, QueryRandom([seed])) for seed in seeds])
    halves = [draw(Norm.L2, 0.3, shape, QueryRandom(part)) for part in (seeds[:5], seeds[5:])]
    assert torch.equal(whole, alone)
    assert torch.equal(whole, torch.cat(halves))


def test_neighbours_lie_in_a_ball_of_the_norm() -> None:
    seen: list[Tensor] = []

    def loss(point: Tensor, step: int) -> Tensor:  # noqa: ARG001
        seen.append(point.detach())
        return point.flatten(1).sum(dim=1)

    point = torch.full((4, 1, 5, 5), 0.5)
    VarianceTuning(20, 0.3, QueryRandom(range(4)), norm=Norm.L2)(loss, point, 0)
    away = torch.cat([(one - point).flatten(1).norm(dim=1) for one in seen[1:]])
    assert 0.29 < float(away.max()) <= 0.3 + 1e-6
    assert float(away.min()) > 0.2  # of 25 values all but 4e-5 of the ball lies beyond 2/3


# ---- steps ---------------------------------------------------------------------------------------


def test_a_unit_gradient_keeps_its_direction_down_to_the_smallest_floats() -> None:
    numbers = [[3.0, -4.0], [3e-44, -4e-44], [0.0, 0.0], [2e38, 0.0], [3e38, 3e38]]
    none = [[math.nan, 1.0], [math.inf, 1.0], [1.0, -math.inf]]
    found = unit_length(torch.tensor([*numbers, *none]).view(8, 1, 1, 2)).flatten(1).double()
    assert not found[5:].any()
    # The smallest floats are whole multiples of 1.4e-45: 21 and 29 of them here.
    small = torch.tensor([21.0, -29.0]).double() / math.hypot(21, 29)
    torch.testing.assert_close(found[0], torch.tensor([0.6, -0.8]).double())
    torch.testing.assert_close(found[1], small, rtol=1e-6, atol=0)
    assert found[2].tolist() == [0, 0]
    assert found[3].tolist() == [1, 0]
    torch.testing.assert_close(found[4], torch.full((2,), math.sqrt(0.5)).double())


def test_steps_have_their_lengths_and_the_norm_says_which_they_are() -> None:
    point, rng = some((2, 3, 3), 2)
    gradient = torch.randn(point.shape, generator=rng)
    gradient[1] = 0
    step = L2Step((0.2, 0.05))
    for length in (0.2, 0.05):
        moved = step(point, gradient)
        unit = gradient / gradient.flatten(1).norm(dim=1).clamp(min=1e-9).view(-1, 1, 1, 1)
        torch.testing.assert_close(moved, point - length * unit)
        assert torch.equal(moved[1], point[1])
    assert isinstance(steepest_step(Norm.LINF, 0.1), SignStep)
    assert isinstance(steepest_step(Norm.L2, 0.1), L2Step)
    assert torch.equal(
        steepest_step(Norm.LINF, 0.1)(point, gradient), SignStep(0.1)(point, gradient)
    )


@given(seed=SEEDS, radius=st.sampled_from([0.05, 0.2]), from_far=st.booleans())
def test_on_a_linear_loss_the_descent_ends_where_the_ball_is_lowest(
    seed: int, radius: float, from_far: bool
) -> None:
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(4, 2, 3, 3, generator=rng) / 2 + 0.25
    weight = torch.randn(images.shape, generator=rng)
    threat = Threat(Eps.parse(f"l2:{radius}"))
    start = images + 3 * torch.randn(images.shape, generator=rng) if from_far else None
    found = descend(
        lambda point, _: (weight * point).flatten(1).sum(dim=1),
        images,
        threat,
        steps=60,
        update=L2Step(radius / 4),
        start=start,
    )
    # min over the ball of w . d is -r ||w||_2, at d = -r w / ||w||_2.
    length = weight.double().flatten(1).norm(dim=1)
    reached = (weight.double() * (found.double() - images)).flatten(1).sum(dim=1) / length
    assert float((reached + radius).abs().max()) < 1e-3 * radius


@given(
    seed=SEEDS,
    eps=RADII,
    update=st.sampled_from(
        [
            lambda: L2Step(0.1),
            lambda: L2Step(1e6),
            lambda: SignStep(0.1),
            lambda: MomentumStep(5.0, 0.9),
            lambda: AdamStep(0.05),
        ]
    ),
)
def test_no_update_leaves_ball_and_box(seed: int, eps: str, update: Callable[[], Update]) -> None:
    images, rng = some((1, 4, 4), seed)
    center = torch.rand(images.shape, generator=rng)
    threat = Threat(Eps.parse(eps))
    visited: list[Tensor] = []

    def loss(point: Tensor, _: int) -> Tensor:
        visited.append(point.detach())
        return (point - center).square().flatten(1).sum(dim=1)

    end = descend(loss, images, threat, steps=4, update=update(), start=images + 9 * center)
    for point in (*visited, end):
        assert point.min() >= 0
        assert point.max() <= 1
        assert threat.distance(point, images).max() <= threat.radius + rounded(images)
        if threat.radius == 0:
            assert torch.equal(point, images)


def test_one_gradient_that_is_no_number_keeps_its_whole_image_where_it_was() -> None:
    images = torch.full((2, 1, 2, 2), 0.5)

    def direction(loss: object, point: Tensor, step: int) -> Tensor:  # noqa: ARG001
        found = torch.ones_like(point)
        found[0, 0, 0, 0] = math.nan
        return found

    found = descend(
        lambda point, _: point.flatten(1).sum(dim=1),
        images,
        HALF,
        steps=3,
        update=L2Step(0.1),
        direction=direction,
    )
    assert torch.equal(found[0], images[0])
    torch.testing.assert_close(found[1], torch.full((1, 2, 2), 0.5 - 3 * 0.05))


def test_momentum_in_l2_weighs_gradients_by_their_direction_alone() -> None:
    slopes = [torch.tensor([3.0, 4.0]), torch.tensor([0.0, -1e-6]), torch.tensor([0.0, 0.0])]
    asked: list[Tensor] = []

    def loss(point: Tensor, step: int) -> Tensor:
        asked.append(point.detach())
        return (slopes[step].view(1, 1, 2) * point).flatten(1).sum(dim=1)

    ahead = Momentum(gradient_of, 0.5, (0.1, 0.2, 0.4), norm=Norm.L2)
    point = torch.zeros(1, 1, 1, 2)
    found = [ahead(loss, point, step).flatten().clone() for step in range(3)]
    wanted = [[0.6, 0.8], [0.3, 0.4 - 1.0], [0.15, -0.3]]
    for one, other in zip(found, wanted, strict=True):
        assert one.tolist() == pytest.approx(other, abs=1e-6)
    # Nesterov: the gradient of step t is asked for at x - a_t * decay * g.
    assert asked[1].flatten().tolist() == pytest.approx([-0.2 * 0.3, -0.2 * 0.4], abs=1e-6)
    assert asked[2].flatten().tolist() == pytest.approx([-0.4 * 0.15, 0.4 * 0.3], abs=1e-6)
