"""Random views of training images: what they are cut from, and that they can be drawn again."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from hashbench.errors import UsageError
from hashbench.hashing.augment import Augment, augmented
from hashbench.hashing.recipe import Recipe

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 3, 16, 12), dtype=np.uint8)
WIDE = RNG.integers(0, 256, (40, 3, 19, 17), dtype=np.uint8)
ALL = np.arange(40)


def crops(source: NDArray[np.uint8]) -> list[bytes]:
    """Every crop of (16, 12), mirrored or not."""
    height, width = source.shape[1] - 16, source.shape[2] - 12
    places = product(range(height + 1), range(width + 1))
    found = [source[:, top : top + 16, left : left + 12] for top, left in places]
    return [view.tobytes() for crop in found for view in (crop, crop[:, :, ::-1])]


def test_without_augmentation_the_images_themselves_are_read() -> None:
    assert augmented(IMAGES, WIDE, Augment.NONE, 0) is IMAGES


def test_a_flip_mirrors_about_half_of_the_images_and_changes_nothing_else() -> None:
    views = augmented(IMAGES, WIDE, Augment.FLIP, 0)
    flips = 0
    for _ in range(10):
        for view, image in zip(views[ALL], IMAGES, strict=True):
            mirrored = np.array_equal(view, image[:, :, ::-1])
            assert mirrored or np.array_equal(view, image)
            flips += mirrored
    assert 150 < flips < 250  # 400 fair coins


@pytest.mark.parametrize("wide", [True, False])
def test_a_crop_is_a_window_of_the_wide_image_or_of_the_padded_one(wide: bool) -> None:
    views = augmented(IMAGES, WIDE if wide else None, Augment.CROP_FLIP, 0)
    padded = np.pad(IMAGES, ((0, 0), (0, 0), (2, 2), (1, 1)), mode="reflect")
    source = WIDE if wide else padded
    seen: set[int] = set()
    for _ in range(5):
        for position, view in enumerate(views[ALL]):
            seen.add(crops(source[position]).index(view.tobytes()))
    places = len(crops(source[0]))
    assert len(seen) > 0.8 * places  # 200 draws reach nearly all of them
    assert views.shape == IMAGES.shape
    assert len(views) == 40


def test_one_seed_gives_the_same_views_and_another_gives_others() -> None:
    first, again, other = (augmented(IMAGES, None, Augment.CROP_FLIP, seed) for seed in (3, 3, 4))
    batches = [ALL[:7], ALL[7:30]]
    drawn = [[views[batch] for batch in batches] for views in (first, again, other)]
    assert all(np.array_equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(drawn[0], drawn[2], strict=True))


def test_the_originals_are_never_written_to() -> None:
    images, wide = IMAGES.copy(), WIDE.copy()
    augmented(IMAGES, WIDE, Augment.CROP_FLIP, 0)[ALL][:] = 0
    augmented(IMAGES, None, Augment.FLIP, 0)[:5][:] = 0
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(wide, WIDE)


@pytest.mark.parametrize("milestones", [(0.0,), (0.5, 1.5), (-1.0,)])
def test_a_milestone_outside_of_the_training_is_refused(milestones: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="milestones must lie in"):
        Recipe(epochs=1, milestones=milestones)


def test_a_shift_moves_by_a_pixel_at_most_fills_with_black_and_flips() -> None:
    views = augmented(IMAGES, WIDE, Augment.FLIP_SHIFT, 0)
    padded = np.pad(IMAGES, ((0, 0), (0, 0), (1, 1), (1, 1)))
    seen: set[int] = set()
    flips = 0
    for _ in range(5):
        for position, view in enumerate(views[ALL]):
            place = crops(padded[position]).index(view.tobytes())
            seen.add(place)
            flips += place % 2
    assert seen == set(range(18))  # 200 draws of nine places, mirrored or not
    assert 60 < flips < 140
    assert views.shape == IMAGES.shape


def test_every_place_of_a_shift_is_as_likely_in_both_directions() -> None:
    image = np.zeros((1, 1, 5, 5), np.uint8)
    image[0, 0, 2, 2] = 255
    views = augmented(np.repeat(image, 900, axis=0), None, Augment.FLIP_SHIFT, 1)
    rows, columns = np.nonzero(views[np.arange(900)].reshape(900, 5, 5).any(axis=0))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 3, 1, 3)
    counts = (views[np.arange(900)].reshape(900, 25) > 0).sum(axis=0).reshape(5, 5)[1:4, 1:4]
    assert counts.sum() == 900
    # nine places, 100 expected each, standard deviation 9.4
    assert counts.min() > 55
    assert counts.max() < 145
