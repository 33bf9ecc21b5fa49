"""Codes by class similarity: a literal restatement, the search's promises, all kinds of classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashbench import plugins
from hashbench.errors import UsageError
from hashbench.hashing import LossSetup, similarity_codes
from hashbench.hashing.similarity_codes import (
    BALANCE,
    class_distances,
    mismatch,
    sign_matrix,
    target_gram,
)
from hashbench.plugins import Dataset, Loss

# The matrix of the measured recipe for the ten classes of Fashion-MNIST, 32 bits.
REFERENCE = """
-+++--++++-+-++---+-+++--+--+---
--+-+---+--+++---++-++--+-+--+++
++++---++------+---+--+-+-----++
-+-+--++++-+++--+-++---+-++--+++
-+++++-++-+----+--+++-++-----++-
+-+--++--++++-+-++-++-+-++-+-++-
-+++-+-++---++-----+-+++---+--+-
+--+++++--+-++++++---+--++--++--
-+--+----+--+--++---+-+++++++---
+----+---+++--++-+++-+-+--+++--+
"""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_images(count: int, shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def restated_distances(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], cell: int
) -> NDArray[np.float64]:
    """The definition, by loops over images, cells and classes."""
    features = []
    for image in images / 255:
        pooled = [
            channel[top : top + cell, left : left + cell].mean()
            for channel in image
            for top in range(0, channel.shape[0], cell)
            for left in range(0, channel.shape[1], cell)
        ]
        features.append(pooled)
    rows = np.array(features)
    classes = labels.shape[1]
    means = [rows[labels[:, c] > 0].mean(axis=0) for c in range(classes)]
    covariance = np.zeros((rows.shape[1], rows.shape[1]))
    members = 0
    for c in range(classes):
        for row in rows[labels[:, c] > 0]:
            covariance += np.outer(row - means[c], row - means[c])
            members += 1
    inverse = np.linalg.inv(covariance / members + 0.01 * np.eye(len(covariance)))
    found = np.zeros((classes, classes))
    for a in range(classes):
        for b in range(classes):
            gap = means[a] - means[b]
            found[a, b] = np.sqrt(gap @ inverse @ gap)
    return found


@pytest.mark.parametrize(
    ("shape", "cell"),
    [((1, 28, 28), 4), ((3, 9, 14), 4), ((1, 3, 2), 4), ((1, 70, 40), None), ((3, 32, 32), 4)],
)
def test_distances_are_those_of_the_definition(
    shape: tuple[int, int, int], cell: int | None
) -> None:
    if cell is None:  # 70 pixels are 8 cells of 9, 40 are 8 of 5: cells need not be square
        pytest.importorskip("numpy")
        images = some_images(30, (1, 72, 72))
        cell = 9
    else:
        images = some_images(30, shape)
    labels = (np.random.default_rng(1).random((30, 4)) < 0.4).astype(np.uint8)
    labels[:4] = np.eye(4)
    labels[5] = 0
    # float64 of some thousand operations, of a covariance whose condition is below 1e3
    assert class_distances(images, labels) == pytest.approx(
        restated_distances(images, labels, cell), rel=1e-9, abs=1e-9
    )


def test_the_target_is_that_of_the_definition() -> None:
    drawn = np.random.default_rng(2).random((6, 6))
    distances = drawn + drawn.T
    np.fill_diagonal(distances, 0)
    off = ~np.eye(6, dtype=bool)
    alike = np.exp(-2 * distances / np.median(distances[off]))
    alike -= alike[off].mean()
    wanted = -1 / 5 + 0.5 * alike / np.abs(alike[off]).max()
    np.fill_diagonal(wanted, 1)
    assert target_gram(distances) == pytest.approx(wanted, rel=1e-12)


def test_classes_that_nothing_is_known_of_have_the_simplexs_target() -> None:
    unknown = np.full((3, 3), np.nan)
    np.fill_diagonal(unknown, 0)
    assert target_gram(unknown) == pytest.approx(np.where(np.eye(3) > 0, 1, -0.5))
    equal = np.where(np.eye(5) > 0, 0.0, 3.0)
    assert target_gram(equal) == pytest.approx(np.where(np.eye(5) > 0, 1, -0.25))
    assert target_gram(np.zeros((2, 2))) == pytest.approx(np.array([[1, -1], [-1, 1]]))
    assert target_gram(np.zeros((1, 1))).tolist() == [[1.0]]


def test_a_class_without_images_is_as_far_as_the_others_are_on_average() -> None:
    labels = np.eye(4, dtype=np.uint8)[np.arange(30) % 3]
    distances = class_distances(some_images(30, (1, 8, 8)), labels)
    assert np.isnan(distances[3]).all()
    assert np.isnan(distances[:, 3]).all()
    target = target_gram(distances)
    assert target[3] == pytest.approx([-1 / 3, -1 / 3, -1 / 3, 1])
    assert np.isfinite(target).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 7))
def test_other_numbers_of_the_classes_give_the_same_target(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    images = some_images(5 * classes, (1, 8, 8), seed)
    labels = np.eye(classes, dtype=np.uint8)[np.arange(5 * classes) % classes]
    order = rng.permutation(classes)
    target = target_gram(class_distances(images, labels))
    moved = target_gram(class_distances(images, labels[:, order]))
    assert moved == pytest.approx(target[np.ix_(order, order)], rel=1e-6, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(1, 9),
    bits=st.sampled_from([1, 2, 3, 7, 12, 16]),
)
def test_the_search_ends_where_no_single_flip_helps_and_below_its_starts(
    seed: int, classes: int, bits: int
) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(-1, 1, (classes, classes))
    target = (drawn + drawn.T) / 2
    np.fill_diagonal(target, 1)
    found = sign_matrix(target, bits, seeded(seed))
    assert found.shape == (classes, bits)
    assert set(np.unique(found)) <= {-1, 1}
    least = float(mismatch(found, target))
    drawn_starts = torch.randint(2, (20, classes, bits), generator=seeded(seed))
    starts: NDArray[np.int8] = (2 * drawn_starts - 1).to(torch.int8).numpy()
    # The search rounds its targets to 2^-16 of a bit.
    room = 1e-4 * classes**2
    assert least <= mismatch(starts, target).min() + room
    for row in range(classes):
        for column in range(bits):
            turned = found.copy()
            turned[row, column] *= -1
            assert least <= mismatch(turned, target) + room


def test_small_matrices_are_the_best_of_all() -> None:
    rng = np.random.default_rng(5)
    for classes, bits in ((2, 3), (3, 3), (3, 4), (4, 3)):
        drawn = rng.uniform(-1, 1, (classes, classes))
        target = (drawn + drawn.T) / 2
        np.fill_diagonal(target, 1)
        size = classes * bits
        bits_of = (np.arange(1 << size)[:, None] >> np.arange(size)) & 1
        every = (1 - 2 * bits_of).astype(np.int8)
        best = mismatch(every.reshape(-1, classes, bits), target).min()
        found = mismatch(sign_matrix(target, bits, seeded()), target)
        assert found == pytest.approx(best, abs=1e-4)


def test_the_mismatch_is_the_one_that_is_written_down() -> None:
    rng = np.random.default_rng(6)
    signs = rng.choice([-1, 1], (2, 4, 6)).astype(np.int8)
    target = rng.uniform(-1, 1, (4, 4))
    for one, found in zip(signs.astype(float), mismatch(signs, target), strict=True):
        wanted = 0.0
        for a in range(4):
            for b in range(4):
                wanted += (one[a] @ one[b] / 6 - target[a, b]) ** 2
        for k in range(6):
            wanted += BALANCE * one[:, k].mean() ** 2
        assert found == pytest.approx(wanted, rel=1e-12)


def test_on_fashion_the_mismatch_is_no_larger_than_the_measured_recipes() -> None:
    dataset = plugins.get("dataset", "fashion")
    assert isinstance(dataset, Dataset)
    train = dataset.load(None).train
    target = target_gram(class_distances(train.images, train.labels))
    reference = np.array([[1 if sign == "+" else -1 for sign in row] for row in REFERENCE.split()])
    for seed in range(2):
        found = similarity_codes(train.images, train.labels, 32, seeded(seed)).numpy()
        assert mismatch(found, target) <= mismatch(reference.astype(np.int8), target)
        apart = (32 - found @ found.T) / 2
        # pullover, coat, shirt are nearer to each other than any of them is to a bag
        assert max(apart[2, 4], apart[2, 6], apart[4, 6]) < apart[[2, 4, 6], 8].min()


@pytest.mark.parametrize(
    ("classes", "bits"), [(1, 8), (10, 12), (21, 7), (40, 16), (3, 1), (300, 24)]
)
def test_any_number_of_classes_and_bits_twice_the_same(classes: int, bits: int) -> None:
    images = some_images(60, (3, 12, 12))
    labels = np.zeros((60, classes), np.uint8)
    labels[np.arange(60), np.arange(60) % classes] = 1
    labels[::7, 0] = 1
    one, two = (similarity_codes(images, labels, bits, seeded(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == (classes, bits)
    assert set(one.unique().tolist()) <= {-1.0, 1.0}


def test_it_reads_parts_and_needs_no_array() -> None:
    class Counted:
        """A train set that is never whole in memory."""

        def __init__(self, images: NDArray[np.uint8]) -> None:
            self.images, self.most = images, 0
            self.shape, self.dtype = images.shape, images.dtype

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
            part = self.images[index]
            self.most = max(self.most, len(part))
            return part

    images = some_images(1201, (1, 4, 4))
    labels = np.eye(3, dtype=np.uint8)[np.arange(1201) % 3]
    counted = Counted(images)
    found = similarity_codes(counted, labels, 9, seeded())
    assert torch.equal(found, similarity_codes(images, labels, 9, seeded()))
    assert counted.most <= 500


def test_labels_of_other_images_are_refused() -> None:
    with pytest.raises(UsageError, match="5 images, but labels of 4"):
        similarity_codes(some_images(5, (1, 4, 4)), np.eye(4, dtype=np.uint8), 8, seeded())


def csq(**parameters: object) -> Loss:
    plugin = plugins.get("loss", "csq", **parameters)
    assert isinstance(plugin, Loss)
    return plugin


def test_csq_pulls_to_the_codes_by_similarity_where_it_is_told_to() -> None:
    images = some_images(40, (1, 8, 8))
    labels = np.eye(4, dtype=np.uint8)[np.arange(40) % 4]
    rows = torch.from_numpy(labels).float()
    bound = csq(codes="similarity").bind(LossSetup(rows, 12, seeded(), images))
    wanted = similarity_codes(images, labels, 12, seeded())
    found = bound.class_codes()
    assert found is not None
    assert torch.equal(found, wanted)
    assert torch.equal(bound.targets, wanted[np.arange(40) % 4])  # type: ignore[arg-type]


def test_without_images_a_sentence_says_what_to_do() -> None:
    setup = LossSetup(torch.eye(4), 8, seeded())
    with pytest.raises(UsageError, match=r"made from the train images.*codes=hadamard"):
        csq(codes="similarity").bind(setup)
    csq().bind(setup)


def test_who_does_not_ask_reads_no_image() -> None:
    class Unread:
        """Raises where it is read."""

        shape, dtype = (4, 1, 8, 8), np.dtype(np.uint8)

        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: object) -> NDArray[np.uint8]:
            raise AssertionError(f"read at {index}")

    for name in ("csq", "dpsh", "dch", "ortho", "dpn", "hashnet", "greedyhash", "dsdh", "dsh"):
        plugin = plugins.get("loss", name)
        assert isinstance(plugin, Loss)
        plugin.bind(LossSetup(torch.eye(4), 8, seeded(), Unread()))
