"""Outfits: pooling and labels against a slow implementation, and what each split is made of."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hashbench.data import ImageSet, RetrievalData
from hashbench.data.garments.garments import Garments
from hashbench.data.sets.outfits import Layout, Outfits, compose, draw_layouts
from hashbench.retrieval import chance_level

Found = list[tuple[int, int]]
"""(cell, position of the garment) of one outfit."""


def slow_outfit(garments: Garments, worn: Found) -> tuple[list[list[int]], list[int]]:
    """The definition, pixel by pixel: a canvas of 56x56, exact means, halves rounded up."""
    canvas = [[0] * 56 for _ in range(56)]
    labels = [0] * 10
    for cell, position in worn:
        for row in range(28):
            for column in range(28):
                pixel = int(garments.images[position, row, column])
                canvas[28 * (cell // 2) + row][28 * (cell % 2) + column] = pixel
        labels[garments.labels[position]] = 1
    pooled = [[0] * 28 for _ in range(28)]
    for row in range(28):
        for column in range(28):
            four = [canvas[2 * row + r][2 * column + c] for r in (0, 1) for c in (0, 1)]
            pooled[row][column] = int(Fraction(sum(four), 4) + Fraction(1, 2))
    return pooled, labels


@settings(max_examples=15, deadline=None)
@given(
    images=hnp.arrays(np.uint8, (4, 28, 28), elements=st.sampled_from([0, 1, 2, 3, 254, 255])),
    labels=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    layout=st.lists(st.integers(-1, 3), min_size=4, max_size=4),
)
def test_compose_is_the_definition(
    images: NDArray[np.uint8], labels: list[int], layout: list[int]
) -> None:
    garments = Garments(images, np.array(labels, np.uint8))
    worn = [(cell, position) for cell, position in enumerate(layout) if position >= 0]
    pooled, union = slow_outfit(garments, worn)
    found = compose([tuple(layout)], garments)
    assert found.images[:][0, 0].tolist() == pooled
    assert found.labels[0].tolist() == union


@settings(deadline=None)
@given(
    pool=st.lists(st.integers(0, 99), min_size=4, max_size=30, unique=True),
    count=st.integers(0, 20),
    seed=st.integers(0, 99),
)
def test_drawn_layouts_keep_the_rules(pool: list[int], count: int, seed: int) -> None:
    taken: set[Layout] = set()
    first = draw_layouts(count, pool, taken, Random(seed))
    second = draw_layouts(count, pool, taken, Random(seed))
    assert len(first) == len(second) == count
    assert taken == set(first) | set(second)
    assert len(taken) == 2 * count
    for layout in taken:
        worn = [position for position in layout if position >= 0]
        assert len(layout) == 4
        assert 1 <= len(worn) <= 3
        assert set(worn) <= set(pool)
    assert draw_layouts(count, pool, set(), Random(seed)) == first


class Wardrobe:
    """Finds the garments of an outfit by their pooled pixels, knowing no layout."""

    def __init__(self, source: ImageSet) -> None:
        self.garments = Garments(
            source.images[:][:, 0], source.labels.argmax(axis=1).astype(np.uint8)
        )
        exact = (
            source.images[:][:, 0].reshape(-1, 14, 2, 14, 2).astype(np.float64).mean(axis=(2, 4))
        )
        pooled = np.floor(exact + 0.5).astype(np.uint8)
        self.positions = {image.tobytes(): index for index, image in enumerate(pooled)}
        assert len(self.positions) == len(pooled), "two garments pool to the same pixels"
        assert bytes(14 * 14) not in self.positions, "a garment pools to black"

    def worn(self, outfit: NDArray[np.uint8]) -> Found:
        found = []
        for cell in range(4):
            top, left = 14 * (cell // 2), 14 * (cell % 2)
            pixels = outfit[0, top : top + 14, left : left + 14]
            if pixels.any():
                found.append((cell, self.positions[pixels.tobytes()]))
        return found


@pytest.fixture(scope="module")
def database_wardrobe(fashion: RetrievalData) -> Wardrobe:
    return Wardrobe(fashion.database)


@pytest.fixture(scope="module")
def worn(outfits: RetrievalData, database_wardrobe: Wardrobe) -> list[Found]:
    """What the 10,000 database outfits are made of."""
    return [database_wardrobe.worn(image) for image in outfits.database.images[:]]


def test_sizes_and_classes(outfits: RetrievalData, fashion: RetrievalData) -> None:
    assert outfits.classes == fashion.classes
    assert outfits.database.images.shape == (10_000, 1, 28, 28)
    assert outfits.train.images.shape == (2_000, 1, 28, 28)
    assert outfits.query.images.shape == (500, 1, 28, 28)


def test_database_labels_are_the_garments_union(
    outfits: RetrievalData, database_wardrobe: Wardrobe, worn: list[Found]
) -> None:
    for labels, garments in zip(outfits.database.labels, worn, strict=True):
        expected = {int(database_wardrobe.garments.labels[position]) for _, position in garments}
        assert set(np.flatnonzero(labels).tolist()) == expected


def test_a_sample_pixel_by_pixel(
    outfits: RetrievalData, database_wardrobe: Wardrobe, worn: list[Found]
) -> None:
    for index in range(0, 10_000, 250):
        pooled, labels = slow_outfit(database_wardrobe.garments, worn[index])
        assert outfits.database.images[:][index, 0].tolist() == pooled
        assert outfits.database.labels[index].tolist() == labels


def test_train_outfits_wear_train_garments_alone(
    outfits: RetrievalData, fashion: RetrievalData
) -> None:
    wardrobe = Wardrobe(fashion.train)
    for image, labels in zip(outfits.train.images[:], outfits.train.labels, strict=True):
        garments = wardrobe.worn(image)  # a KeyError tells of a garment from elsewhere
        assert set(np.flatnonzero(labels).tolist()) == {
            int(wardrobe.garments.labels[position]) for _, position in garments
        }


def test_query_outfits_wear_query_garments_alone(
    outfits: RetrievalData, fashion: RetrievalData
) -> None:
    wardrobe = Wardrobe(fashion.query)
    for image, labels in zip(outfits.query.images[:], outfits.query.labels, strict=True):
        garments = wardrobe.worn(image)
        assert set(np.flatnonzero(labels).tolist()) == {
            int(wardrobe.garments.labels[position]) for _, position in garments
        }


def test_no_image_twice_and_train_in_database(outfits: RetrievalData) -> None:
    parts = (outfits.database, outfits.query, outfits.train)
    database, query, train = (
        {
            image.tobytes(): labels.tobytes()
            for image, labels in zip(p.images[:], p.labels, strict=True)
        }
        for p in parts
    )
    assert [len(database), len(query), len(train)] == [10_000, 500, 2_000]
    assert not database.keys() & query.keys()
    assert train.items() <= database.items()
    at = [
        index for index, image in enumerate(outfits.database.images[:]) if image.tobytes() in train
    ]
    assert [outfits.database.images[:][index].tobytes() for index in at] == list(train)
    assert abs(float(np.mean(at)) / 10_000 - 0.5) < 0.03


def test_garments_and_cells_are_uniform(worn: list[Found]) -> None:
    counts = Counter(len(garments) for garments in worn)
    assert set(counts) == {1, 2, 3}
    for count in counts.values():  # four standard deviations of a binomial
        assert abs(count - 10_000 / 3) < 4 * (10_000 * (1 / 3) * (2 / 3)) ** 0.5
    cells = Counter(cell for garments in worn for cell, _ in garments)
    total = sum(cells.values())
    for cell in range(4):
        assert abs(cells[cell] - total / 4) < 4 * (total * 0.25 * 0.75) ** 0.5


def test_chance_level(outfits: RetrievalData) -> None:
    relevant = (outfits.query.labels.astype(int) @ outfits.database.labels.T.astype(int)) > 0
    ranks = np.arange(1, 10_001)
    harmonic = float(np.sum(1 / ranks))
    r = relevant.sum(axis=1)
    # A random order of N with R relevant: (H + (R - 1)/(N - 1) * (N - H)) / N, H harmonic.
    expected = float(np.mean((harmonic + (r - 1) / 9_999 * (10_000 - harmonic)) / 10_000))
    found = chance_level(outfits.query.labels, outfits.database.labels)
    assert found == pytest.approx(expected, abs=1e-12)
    # In the limit of many outfits, by counting: garments n and m are drawn from ten classes.
    exact = 0.0
    for n in (1, 2, 3):
        for classes in np.ndindex(*[10] * n):
            share = len(set(classes)) / 10
            exact += sum(1 - (1 - share) ** m for m in (1, 2, 3)) / 3 / 10**n / 3
    assert exact == pytest.approx(0.3228, abs=1e-4)
    assert found == pytest.approx(exact, abs=0.01)


def test_the_same_outfits_on_every_machine(outfits: RetrievalData) -> None:
    assert Outfits().load(None).database.digest() == outfits.database.digest()
    assert (
        outfits.train.digest() == "e2c6bd8f6b525b46d4537d6f322e5debc1da06f35c082c428ddc38ced9cfd854"
    )
    assert (
        outfits.query.digest() == "109b926978dff22152f7ad68fdefcd333aaf85b3cc0fe43717a940ed36109aaa"
    )
    assert (
        outfits.database.digest()
        == "46b5aac1ab63f8adc1dfbde0af794c37c03584ad711ab957a588e2c1e51725b9"
    )
