"""Bounds over L2 balls: exact for a linear hash, sound for networks, and wrong ones are found."""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from hashbench.attacking.threat import Threat
from hashbench.certifying import Ball, Box, affine, certified_bits, image_box, logit_bounds
from hashbench.certifying.arithmetic import Arithmetic
from hashbench.certifying.box import pixel_box
from hashbench.certifying.layers import RULES
from hashbench.certifying.operation_table import OPERATIONS
from hashbench.data.protocol import PixelValues
from hashbench.eps import Eps
from hashbench.errors import UncertifiableError
from hashbench.hashing.backbone import BackboneNet
from hashbench.hashing.model import HashModel
from support.random_nets import (
    CHANNELS,
    KINDS,
    SHOWN,
    SIDE,
    Functional,
    excess_of,
    lone_net,
    random_net,
    tried_in_ball,
)

RADIUS = 0.25


def image_of(number: int, low: float = 0.0, high: float = 1.0, channels: int = CHANNELS) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    shape = (1, channels, SIDE, SIDE)
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def ball_of(image: Tensor, radius: float = RADIUS) -> Box:
    return image_box(image, Eps.parse(f"l2:{radius}"))


def room_of(values: int) -> float:
    """What a ball is taken larger by: no more than what answers of attacks are allowed."""
    return 1e-6 * RADIUS + 2.0**-24 * math.sqrt(values)


def linear_hash(values: int = 12, bits: int = 7) -> HashModel:
    torch.manual_seed(0)
    return HashModel(BackboneNet(nn.Flatten(), values, (0.4,), (0.3,)), bits).double().eval()


def test_bounds_of_a_linear_hash_are_its_weights_lengths_times_the_radius() -> None:
    model, image = linear_hash(), 0.3 + 0.4 * torch.rand(2, 3, 2, 2, dtype=torch.float64)
    bounds = logit_bounds(model, ball_of(image))
    lengths = model.hash_layer.weight.norm(dim=1) / model.std.item()
    far = (RADIUS + room_of(12)) * lengths
    logits = model.logits(image)
    # Sums of 13 products of size 1 in float64: 1e-13 is 400 units.
    torch.testing.assert_close(bounds.lower, logits - far, rtol=0, atol=1e-13)
    torch.testing.assert_close(bounds.upper, logits + far, rtol=0, atol=1e-13)
    # An image of the ball attains them, but for the room.
    towards = nn.functional.normalize(model.hash_layer.weight, dim=1).view(7, 3, 2, 2)
    highest = model.logits(image[:1] + RADIUS * towards)[torch.arange(7), torch.arange(7)]
    left = bounds.upper[0] - highest
    torch.testing.assert_close(left, room_of(12) * lengths, rtol=0, atol=1e-13)


def test_a_bit_of_a_linear_hash_is_proven_up_to_its_distance() -> None:
    model = HashModel(BackboneNet(nn.Flatten(), 4, (0.0,), (1.0,)), 3).eval()
    with torch.no_grad():
        model.hash_layer.weight.copy_(torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [-2, 0, 0, 0]]))
        model.hash_layer.bias.copy_(torch.tensor([-1.0, 0.1, 0.5]))
    image = torch.full((1, 1, 2, 2), 0.5)
    # The logits are 1, 0.1 and -0.5, and all rows have the length 2: distances 0.5, 0.05 and 0.25.
    for radius, bits in [
        ("0.0499", [1, 1, -1]),
        ("0.05", [1, 0, -1]),
        ("0.2499", [1, 0, -1]),
        ("0.25", [1, 0, 0]),
        ("0.4999", [1, 0, 0]),
        ("0.5", [0, 0, 0]),
    ]:
        assert certified_bits(model, image, Eps.parse(f"l2:{radius}")).tolist() == [bits]
    assert certified_bits(model, image, Eps.parse("0.05")).tolist() == [[1, 0, -1]]


def test_at_radius_0_the_bits_are_the_code() -> None:
    model = random_net(0).float()
    images = torch.rand(9, CHANNELS, SIDE, SIDE)
    found = certified_bits(model, images, Eps.parse("l2:0"))
    assert (found == model.codes(images).numpy()).all()


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 120, 40))
def test_no_logit_leaves_its_bounds(first: int) -> None:
    assert len(KINDS) <= 120, "every kind is in some network"
    for number in range(first, first + 40):
        model, image = random_net(number), image_of(number)
        images = tried_in_ball(model, image, RADIUS, number, 600, 20)
        assert excess_of(model, ball_of(image), images) <= 0, f"network {number}"


@pytest.mark.parametrize("kind", KINDS)
def test_no_entry_of_a_layer_leaves_its_bounds(kind: str) -> None:
    model, image = lone_net(kind, 0), image_of(0)
    images = tried_in_ball(model, image, RADIUS, 0, 300, 2 * SHOWN)
    assert excess_of(model, ball_of(image), images) <= 0


def test_bounds_lie_inside_those_of_the_enclosing_box() -> None:
    for number in range(len(KINDS)):
        model, box = random_net(number), ball_of(image_of(number))
        ball = logit_bounds(model, box, rounding=True)
        boxed = logit_bounds(model, Box(box.lower, box.upper), rounding=True)
        # Both are computed in float64, from numbers of some size, 1e-12 of which is no error.
        slack = 1e-12 * boxed.magnitude
        assert (ball.lower >= boxed.lower - slack).all()
        assert (ball.upper <= boxed.upper + slack).all()


@pytest.mark.parametrize("kind", ["conv", "conv same", "conv1d", "linear", "identity"])
def test_a_first_sum_of_products_is_narrower_than_in_the_enclosing_box(kind: str) -> None:
    model, box = lone_net(kind, 0), ball_of(image_of(0))
    with torch.no_grad():
        if kind == "identity":  # the hash layer is the first one then
            model.hash_layer.weight.normal_()
    ball, boxed = logit_bounds(model, box), logit_bounds(model, Box(box.lower, box.upper))
    assert (ball.radius < 0.9 * boxed.radius).all()


def test_behind_another_layer_the_enclosing_box_is_what_is_left() -> None:
    model, box = lone_net("max pool", 0), ball_of(image_of(0))
    ball, boxed = logit_bounds(model, box), logit_bounds(model, Box(box.lower, box.upper))
    assert torch.equal(ball.lower, boxed.lower)
    assert torch.equal(ball.upper, boxed.upper)


def test_a_layer_without_bounds_is_refused_by_name() -> None:
    module = nn.Sequential(nn.LayerNorm(SIDE), nn.Flatten())
    model = HashModel(BackboneNet(module, SIDE * SIDE, (0.4,), (0.3,)), 2).eval()
    for radius in ("l2:0", "l2:0.1"):
        with pytest.raises(UncertifiableError, match="LayerNorm"):
            certified_bits(model, torch.rand(1, 1, SIDE, SIDE), Eps.parse(radius))


@given(
    radius=st.sampled_from(["0.001", "0.1", "0.5", "1", "3", "30"]),
    seed=st.integers(0, 2**16),
    pixels=st.sampled_from(list(PixelValues)),
    side=st.integers(1, 20),
)
def test_what_an_attack_may_answer_lies_in_the_ball(
    radius: str, seed: int, pixels: PixelValues, side: int
) -> None:
    threat = Threat(Eps.parse(f"l2:{radius}"), pixels)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (8, 3, side, side), generator=generator).float() / 255
    change = torch.randn(images.shape, generator=generator)
    change *= float(radius) * 2 * torch.rand(8, 1, 1, 1, generator=generator)
    change /= change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    answers = threat.settled(images + change, images)
    box = image_box(images, threat.eps)
    assert box.ball is not None
    lengths = (answers.double() - images.double()).flatten(1).norm(dim=1)
    assert (lengths <= box.ball.share[0, 0, 0, 0]).all()
    assert ((box.lower <= answers) & (answers <= box.upper)).all()


def test_the_box_of_a_number_is_that_of_the_threat() -> None:
    images = torch.rand(3, 1, 4, 4)
    box, threat = pixel_box(images, 8 / 255), Threat(Eps.parse("8/255"))
    assert torch.equal(torch.stack([box.lower, box.upper]), torch.stack(threat.bounds(images)))


def test_no_proven_bit_is_turned_by_what_an_attack_may_answer() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten())
    model = HashModel(BackboneNet(module, 8 * SIDE * SIDE, (0.5,), (0.3,)), 16).eval()
    images = torch.rand(20, 1, SIDE, SIDE)
    proven = []
    for radius in (0.001, 0.03, 0.1, 1.0):
        threat = Threat(Eps.parse(f"l2:{radius}"))
        found = certified_bits(model, images, threat.eps)
        proven.append(float((found != 0).mean()))
        for bit in range(16):
            moved = images.clone().requires_grad_(True)
            logits = model.logits(moved)[:, bit]
            (gradient,) = torch.autograd.grad((logits * logits.sign()).sum(), moved)
            away = threat.project(images - 100 * gradient, images)
            codes = model.codes(away).numpy()
            assert ((found == 0) | (found == codes)).all()
    assert proven[0] > 0.9
    assert proven == sorted(proven, reverse=True)


def _twice(images: Tensor) -> Tensor:
    return images.repeat(1, 2, 1, 1)


FIRST: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "conv": (lambda: nn.Conv2d(CHANNELS, 6, 3, padding=1), CHANNELS),
    "three channels of one": (lambda: nn.Conv2d(3, 6, 3, padding=1), 1),
    "reflected": (
        lambda: nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(CHANNELS, 6, 3)),
        CHANNELS,
    ),
    "repeated": (
        lambda: nn.Sequential(Functional(_twice), nn.Conv2d(2 * CHANNELS, 6, 3)),
        CHANNELS,
    ),
    "padded and turned": (
        lambda: nn.Sequential(
            nn.ZeroPad2d(1),
            Functional(lambda x: 0.5 - nn.functional.pad(-2 * x.flip(2), (0, 1)) / 3),
            nn.Conv2d(CHANNELS, 6, 3),
        ),
        CHANNELS,
    ),
    "batch norm": (
        lambda: nn.Sequential(KINDS["batch norm"](), nn.Conv2d(CHANNELS, 6, 3)),
        CHANNELS,
    ),
    "plus what depends on the image": (
        lambda: nn.Sequential(Functional(lambda x: x + x.tanh()), nn.Conv2d(CHANNELS, 6, 3)),
        CHANNELS,
    ),
}


def first_net(name: str, number: int) -> tuple[HashModel, Tensor]:
    """A network that shows what its first layer gives, all weights above 0, and an image."""
    make, channels = FIRST[name]
    with torch.random.fork_rng():
        torch.manual_seed(number)
        module = nn.Sequential(make(), nn.Flatten())
        for parameter in module.parameters():
            nn.init.uniform_(parameter, 0.2, 1)
        width = 3 if name == "three channels of one" else channels
        features = module(torch.zeros(1, width, SIDE, SIDE)).shape[1]
        net = BackboneNet(module, features, (0.4,) * width, (0.3,) * width)
        model = HashModel(net, SHOWN).double().eval()
        shown = torch.randperm(features)[:SHOWN]
    with torch.no_grad():
        model.hash_layer.weight.zero_()
        model.hash_layer.weight[torch.arange(SHOWN), shown] = 1
    return model, image_of(number, 0.3, 0.7, channels)


@pytest.mark.parametrize("name", FIRST)
def test_first_layers_are_bounded(name: str) -> None:
    for number in range(3):
        model, image = first_net(name, number)
        images = tried_in_ball(model, image, RADIUS, number, 300, 2 * SHOWN)
        assert excess_of(model, ball_of(image), images) <= 0


@pytest.mark.parametrize("name", ["conv", "padded and turned", "batch norm"])
def test_bounds_of_a_first_layer_are_attained(name: str) -> None:
    """By the image that goes along a row's weights, which [0, 1] does not cut here."""
    model, image = first_net(name, 0)
    images = tried_in_ball(model, image, RADIUS, 0, 300, 2 * SHOWN)
    bounds = logit_bounds(model, ball_of(image))
    logits = model.logits(images)
    # The room of the ball is some 5e-6 of its radius; the ascent ends that near to the end.
    share = (logits.amax(0) - bounds.center[0]) / bounds.radius[0]
    assert share.min() > 0.9999


def _halved(apply: affine.Product, ball: Ball, weight: Tensor, bias: Tensor | None) -> Box:
    found = FROM_BALL(apply, ball, weight, bias)
    return Box.around(found.center, found.radius / 2)


def _without_room(apply: affine.Product, ball: Ball, weight: Tensor, bias: Tensor | None) -> Box:
    return FROM_BALL(apply, replace(ball, room=torch.zeros_like(ball.room)), weight, bias)


def _unscaled(ball: Ball, scale: Tensor | float) -> Ball:
    return replace(SCALED(ball, scale), share=ball.share)


def _not_longer(ball: Ball, center: Tensor, radius: Tensor) -> Ball:
    found = PLUS(ball, center, radius)
    return replace(found, share=ball.share.expand_as(found.share))


def _kept(_: Arithmetic, layer: nn.Module, box: Box) -> Box:
    return box.moved(layer)


FROM_BALL, SCALED, PLUS = affine._from_ball, Ball.scaled, Ball.plus

MUTATIONS: dict[str, tuple[str, object, object, object]] = {
    "half of the radius": ("conv", affine, "_from_ball", _halved),
    "a norm without the root of the channels": ("three channels of one", Ball, "plus", _not_longer),
    "a norm without the normalisation": ("conv", Ball, "scaled", _unscaled),
    "a norm without batch norm's scale": ("batch norm", Ball, "scaled", _unscaled),
    "a pixel that reflection gives twice": ("reflected", RULES, nn.ReflectionPad2d, _kept),
    "a pixel that is repeated": (
        "repeated",
        OPERATIONS,
        "repeat",
        lambda _, box, *sizes: box.moved(lambda entries: entries.repeat(*sizes)),
    ),
    "a summand that stands still": (
        "plus what depends on the image",
        affine,
        "_from_ball",
        _without_room,
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_wrong_bound_is_caught(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, place, target, wrong = MUTATIONS[mutation]
    model, image = first_net(name, 0)
    images = tried_in_ball(model, image, RADIUS, 0, 300, 2 * SHOWN)
    assert excess_of(model, ball_of(image), images) <= 0
    if isinstance(place, MutableMapping):
        monkeypatch.setitem(place, target, wrong)
    else:
        monkeypatch.setattr(place, str(target), wrong)
    assert excess_of(model, ball_of(image), images) > 1e-3


def test_a_ball_that_is_taken_too_small_is_caught() -> None:
    model, image = first_net("conv", 0)
    images = tried_in_ball(model, image, RADIUS, 0, 300, 2 * SHOWN)
    assert excess_of(model, ball_of(image, RADIUS / 2), images) > 1e-3
    assert np.isfinite(excess_of(model, ball_of(image, 900), images))
