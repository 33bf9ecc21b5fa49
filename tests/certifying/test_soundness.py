"""No image of a box has a logit outside of its bounds; bounds that are wrong are found out."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from hashbench.certifying import Box, affine, elementwise, logit_bounds
from hashbench.certifying.arithmetic import Arithmetic
from hashbench.certifying.layers import RULES
from hashbench.certifying.operation_table import OPERATIONS
from hashbench.hashing.backbone import BackboneNet
from hashbench.hashing.model import HashModel
from support.random_nets import (
    KINDS,
    SHOWN,
    box_of,
    excess_of,
    lone_net,
    random_net,
    tried_images,
)

NETS = 200


@pytest.mark.parametrize("first", range(0, NETS, 50))
def test_no_logit_leaves_its_bounds(first: int) -> None:
    assert len(KINDS) <= NETS, "every kind is in some network"
    for number in range(first, first + 50):
        model, box = random_net(number), box_of(number)
        images = tried_images(model, box, number, 1000, 20)
        assert excess_of(model, box, images) <= 0, f"network {number}"


@pytest.mark.parametrize("kind", KINDS)
def test_no_entry_of_a_layer_leaves_its_bounds(kind: str) -> None:
    model, box = lone_net(kind, 0), box_of(0)
    assert excess_of(model, box, tried_images(model, box, 0, 1000, 2 * SHOWN)) <= 0


def test_the_room_for_rounding_hides_nothing() -> None:
    # In float64 it is a share of some 1e-12 of the sums: what leaves by more is caught.
    for number in range(len(KINDS)):
        model, box = random_net(number), box_of(number)
        bounds, roomy = (logit_bounds(model, box, rounding=room) for room in (False, True))
        wider = torch.maximum(bounds.lower - roomy.lower, roomy.upper - bounds.upper)
        assert 0 < wider.max().item() < 1e-7


def test_what_is_computed_in_float32_lies_in_the_room_for_rounding() -> None:
    for number in range(NETS):
        model, box = random_net(number).float(), box_of(number)
        image = box.upper.float()
        bounds = logit_bounds(model, Box(image, image), rounding=True)
        for batch in (1, 2, 33):
            logits = model.logits(image.expand(batch, -1, -1, -1)).double()
            assert (bounds.lower <= logits).all(), f"network {number}"
            assert (logits <= bounds.upper).all(), f"network {number}"


def test_at_radius_0_the_bounds_are_the_logits() -> None:
    for number in range(len(KINDS)):
        model, box = random_net(number), box_of(number)
        point = Box(box.upper, box.upper)
        bounds, roomy = (logit_bounds(model, point, rounding=room) for room in (False, True))
        logits = model.logits(box.upper)
        room = (roomy.upper - roomy.lower).max()
        assert (bounds.lower - logits).abs().max() <= room
        assert (bounds.upper - logits).abs().max() <= room


def test_bounds_of_a_linear_hash_are_attained_by_a_corner() -> None:
    torch.manual_seed(0)
    model = HashModel(BackboneNet(nn.Flatten(), 12, (0.4,), (0.3,)), 7).double()
    box = Box(torch.rand(1, 3, 2, 2).double() * 0.4, torch.rand(1, 3, 2, 2).double() * 0.4 + 0.5)
    bounds = logit_bounds(model, box)
    corners = torch.stack(
        [
            torch.where(torch.tensor(ends, dtype=torch.bool).view(3, 2, 2), box.upper, box.lower)[0]
            for ends in product((0, 1), repeat=12)
        ]
    )
    logits = model.logits(corners)
    # Sums of 13 products of size 1 in float64: 1e-13 is 400 units.
    torch.testing.assert_close(bounds.lower[0], logits.amin(0), rtol=0, atol=1e-13)
    torch.testing.assert_close(bounds.upper[0], logits.amax(0), rtol=0, atol=1e-13)


def _product(weight_of: Callable[[Tensor], Tensor], share: float) -> Callable[..., Box]:
    def wrong(
        _: Arithmetic, apply: affine.Product, box: Box, weight: Tensor, bias: Tensor | None
    ) -> Box:
        center = apply(box.center, weight, bias)
        return Box.around(center, share * apply(box.radius, weight_of(weight), None))

    return wrong


def _norm_without_absolute(_: Arithmetic, box: Box, scale: Tensor, shift: Tensor, __: int) -> Box:
    return Box.around(box.center * scale + shift, box.radius * scale)


def _averaged(_: Arithmetic, __: nn.Module, box: Box) -> Box:
    average = nn.AvgPool2d(3, stride=1, padding=1)
    return Box(average(box.lower), average(box.upper))


def _rising(_: Arithmetic, layer: nn.Module, box: Box) -> Box:
    return Box(*(torch.aminmax(torch.stack([layer(box.lower), layer(box.upper)]), dim=0)))


def _falling_sum(_: Arithmetic, first: Box, second: Box) -> Box:
    return Box(torch.sub(first.lower, second.lower), torch.sub(first.upper, second.upper))


def _same_ends(_: Arithmetic, first: Box, second: Box) -> Box:
    return Box(first.lower * second.lower, first.upper * second.upper)


def _first_alone(_: Arithmetic, first: Box, second: Box) -> Box:
    return Box(torch.add(first.lower, second.center), torch.add(first.upper, second.center))


MUTATIONS: dict[str, tuple[str, object, object, object]] = {
    "|W| without its absolute value": ("linear", affine, "product", _product(lambda w: w, 1.0)),
    "half of the radius": ("conv", affine, "product", _product(Tensor.abs, 0.5)),
    "the largest weights alone": (
        "conv",
        affine,
        "product",
        _product(lambda w: w.abs() * (w.abs() > w.abs().mean()), 1.0),
    ),
    "batch norm with gamma for |gamma|": ("batch norm", affine, "scaled", _norm_without_absolute),
    "batch norm without its scale": (
        "batch norm",
        affine,
        "scaled",
        lambda _, box, scale, shift, __: Box.around(box.center * scale + shift, box.radius * 0.1),
    ),
    "an average in the place of max pooling": ("max pool", RULES, nn.MaxPool2d, _averaged),
    "GELU as if it never fell": ("gelu", RULES, nn.GELU, _rising),
    "SiLU as if it never fell": ("silu", RULES, nn.SiLU, _rising),
    "a falling leaky ReLU by its ends": ("falling leaky relu", RULES, nn.LeakyReLU, _rising),
    "a difference by the same ends": ("residual -", elementwise, "difference_of", _falling_sum),
    "a sum that forgets a summand's width": ("residual +", elementwise, "sum_of", _first_alone),
    "a product by the same ends": ("gated", elementwise, "product_of", _same_ends),
    "the absolute value by its ends": (
        "absolute",
        OPERATIONS,
        "abs",
        lambda _, box: Box(*torch.aminmax(torch.stack([box.lower.abs(), box.upper.abs()]), dim=0)),
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_wrong_bound_is_caught(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, place, name, wrong = MUTATIONS[mutation]
    cases = []
    for number in range(4):
        model, box = lone_net(kind, number), box_of(number)
        images = tried_images(model, box, number, 1000, 2 * SHOWN)
        assert excess_of(model, box, images) <= 0
        cases.append((model, box, images))
    if isinstance(place, MutableMapping):
        monkeypatch.setitem(place, name, wrong)
    else:
        monkeypatch.setattr(place, str(name), wrong)
    assert max(excess_of(*case) for case in cases) > 1e-6


def test_flips_at_both_ends_add_up() -> None:
    """The larger of the flips at both ends, as CertPHash's code counts, is exceeded by an image."""
    model = HashModel(BackboneNet(nn.Flatten(), 8, (0.0,), (1.0,)), 8).double()
    with torch.no_grad():
        # Bit k sees pixel k alone, every other one upside down.
        signs = torch.tensor([1.0, -1] * 4, dtype=torch.float64)
        model.hash_layer.weight.copy_(torch.diag(signs))
        model.hash_layer.bias.copy_(-0.5 * signs)
    image = torch.full((1, 1, 2, 4), 0.55, dtype=torch.float64)
    bounds = logit_bounds(model, Box(image - 0.1, image + 0.1))
    code = model.codes(image)
    at_ends = [(torch.where(end >= 0, 1, -1) != code).sum() for end in (bounds.lower, bounds.upper)]
    flipped = (model.codes(image - 0.1) != code).sum()
    assert flipped == sum(at_ends)
    assert flipped > max(at_ends), "the mistaken count is no bound"
