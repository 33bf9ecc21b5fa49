"""Images that come in parts have the codes of the whole, bit for bit; one block is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.errors import TrainingError
from hashbench.hashing import BackboneNet, HashModel, encode
from hashbench.hashing.encode import BlockEncoder

BITS = 5


class BatchBound(nn.Module):
    """Features that depend on which images went together, and notes what came."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(images.clone())
        return (images - images.mean(dim=0)).flatten(1)


def bound_model() -> HashModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return HashModel(BackboneNet(BatchBound(), 12, (0.5,) * 3, (0.25,) * 3), BITS).eval()


def batches_of(model: HashModel) -> list[Tensor]:
    assert isinstance(model.backbone, BatchBound)
    return model.backbone.batches


@pytest.fixture
def images() -> NDArray[np.float32]:
    return np.random.default_rng(4).random((1203, 3, 2, 2), dtype=np.float32)


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1000, 1203])
@pytest.mark.parametrize("part", [1, 7, 64, 499, 500, 501, 5000])
def test_blocks_are_cut_where_the_whole_is(
    part: int, count: int, images: NDArray[np.float32]
) -> None:
    images = images[:count]
    whole, parts = bound_model(), bound_model()
    wanted = encode(whole, images)
    blocks = BlockEncoder(parts, count)
    for start in range(0, count, part):
        blocks.add(torch.from_numpy(images[start : start + part]))
    found = blocks.encoded()
    # The model was shown the same tensors: so the codes are the same on any machine, by any sum.
    shown, wished = batches_of(parts), batches_of(whole)
    assert [len(batch) for batch in shown] == [len(batch) for batch in wished]
    assert all(torch.equal(one, other) for one, other in zip(shown, wished, strict=True))
    assert np.array_equal(found.codes, wanted.codes)
    assert found.saturated == wanted.saturated


def test_the_cut_matters_to_this_model(images: NDArray[np.float32]) -> None:
    """Else the test above would show nothing."""
    whole, shifted = encode(bound_model(), images), encode(bound_model(), images[1:])
    assert not np.array_equal(whole.codes[1:], shifted.codes)


def test_a_block_is_encoded_as_soon_as_it_is_full(images: NDArray[np.float32]) -> None:
    model = bound_model()
    blocks = BlockEncoder(model, 1203)
    for start in range(0, 1203, 100):
        blocks.add(torch.from_numpy(images[start : start + 100]))
        came = min(start + 100, 1203)
        full = came // 500 + (came == 1203)
        assert len(batches_of(model)) == full


def test_what_came_may_be_written_over_afterwards(images: NDArray[np.float32]) -> None:
    model, part = bound_model(), torch.from_numpy(images[:300]).clone()
    blocks = BlockEncoder(model, 600)
    blocks.add(part)
    part.zero_()
    blocks.add(torch.from_numpy(images[300:600]))
    assert np.array_equal(blocks.encoded().codes, encode(bound_model(), images[:600]).codes)


def test_more_or_fewer_than_announced_are_refused(images: NDArray[np.float32]) -> None:
    blocks = BlockEncoder(bound_model(), 5)
    blocks.add(torch.from_numpy(images[:4]))
    with pytest.raises(ValueError, match="0 images are encoded, 5 were announced"):
        blocks.encoded()
    with pytest.raises(ValueError, match="more images came than the 5 that were announced"):
        blocks.add(torch.from_numpy(images[4:6]))


def test_nan_is_refused_and_placed(images: NDArray[np.float32]) -> None:
    images[777] = np.nan
    blocks = BlockEncoder(bound_model(), 1203)
    with pytest.raises(TrainingError, match="NaN for images 500 to 999"):
        blocks.add(torch.from_numpy(images))
    with pytest.raises(TrainingError, match="NaN for images 500 to 999"):
        encode(bound_model(), images)
