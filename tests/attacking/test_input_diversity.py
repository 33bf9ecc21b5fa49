"""Input diversity: against torch's interpolation and padding, every size and place enumerated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hashbench.attacking import QueryRandom
from hashbench.attacking.input_diversity import InputDiversity, shrunk


def draws_for(side: int, ratio: float) -> Iterator[tuple[int, int, int, float, float, float]]:
    """Every size and place of a square, with draws from the middle of what leads there."""
    least = max(1, int(ratio * side))
    for size in range(least, max(least, side - 1) + 1):
        for row, column in itertools.product(range(side - size + 1), repeat=2):
            share = (size - least + 0.5) / max(1, side - least)
            places = side - size + 1
            yield size, row, column, share, (row + 0.5) / places, (column + 0.5) / places


@pytest.mark.parametrize(
    ("side", "ratio"), [(28, 0.9), (12, 0.7), (9, 0.9), (5, 0.9), (7, 0.1), (1, 0.9)]
)
def test_shrinking_is_bilinear_interpolation_and_padding(side: int, ratio: float) -> None:
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(side))
    cases = list(draws_for(side, ratio))
    draws = torch.tensor([case[3:] for case in cases])
    found = shrunk(image.expand(len(cases), -1, -1, -1), draws, ratio)
    for (size, row, column, *_), one in zip(cases, found, strict=True):
        small = F.interpolate(image, size=(size, size), mode="bilinear", align_corners=False)
        edges = (column, side - size - column, row, side - size - row)
        torch.testing.assert_close(one[None], F.pad(small, edges), rtol=0, atol=1e-5)


def test_on_28_pixels_sizes_are_25_to_27_and_the_largest_draws_stay_inside() -> None:
    white = torch.ones(1000, 1, 28, 28)
    draws = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0))
    draws[:3] = torch.tensor([[0.0, 0, 0], [1 - 2**-24] * 3, [0, 1 - 2**-24, 0]])
    moved = shrunk(white, draws, 0.9)
    rows = (moved.amax(dim=(1, 3)) > 0.5).sum(dim=1)
    columns = (moved.amax(dim=(1, 2)) > 0.5).sum(dim=1)
    assert torch.equal(rows, columns)
    counts = torch.bincount(rows, minlength=29)
    assert counts[25:28].sum() == 1000
    # A third each, within five standard errors; all places of the smallest size, both ends too.
    assert (counts[25:28] / 1000 - 1 / 3).abs().max() < 5 * (2 / 9 / 1000) ** 0.5
    tops = (moved.amax(dim=(1, 3)) > 0.5).float().argmax(dim=1)[rows == 25]
    assert sorted(set(tops.tolist())) == [0, 1, 2, 3]


def test_sides_of_a_rectangle_shrink_alike_each_in_its_own_pixels() -> None:
    white = torch.ones(500, 1, 40, 20)
    moved = shrunk(white, torch.rand(500, 3, generator=torch.Generator().manual_seed(1)), 0.5)
    rows = (moved.amax(dim=(1, 3)) > 0.5).sum(dim=1)
    columns = (moved.amax(dim=(1, 2)) > 0.5).sum(dim=1)
    assert torch.equal(rows // 2, columns)
    assert rows.min() == 20
    assert rows.max() == 39
    assert columns.max() == 19


def test_diversity_has_the_gradient_of_the_resized_image_for_the_share_that_is_resized() -> None:
    rng = torch.Generator().manual_seed(1)
    images, weight = torch.rand(2, 400, 1, 10, 10, generator=rng).unbind()
    weight = weight + 0.5

    def linear(point: Tensor, _: int) -> Tensor:
        return (weight * point).flatten(1).sum(dim=1)

    found = InputDiversity(0.3, 0.6, QueryRandom(range(400)))(linear, images, 0)
    draws = QueryRandom(range(400)).uniform((4,))
    alone = (found == weight).flatten(1).all(dim=1)
    assert torch.equal(~alone, draws[:, 0] < 0.3)
    assert abs((~alone).float().mean() - 0.3) < 5 * (0.21 / 400) ** 0.5
    # <w, T x> = <T' w, x>: the gradient is the transposed map of the weights.
    moved = shrunk(images, draws[:, 1:], 0.6)
    one = (weight * moved).flatten(1).sum(dim=1)[~alone]
    other = (found * images).flatten(1).sum(dim=1)[~alone]
    torch.testing.assert_close(one, other)
    assert (found > 0).all(), "a pixel is skipped"
