"""A set's digest covers every pixel, every label and the shapes; so does a protocol's hash."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hashbench.data
from hashbench.data import ImageSet, RetrievalData, protocol_of
from hashbench.data.sets.fashion import Fashion
from hashbench.errors import UsageError


def images_of(seed: int = 0, count: int = 4) -> ImageSet:
    rng = np.random.default_rng(seed)
    return ImageSet(
        rng.integers(0, 256, (count, 1, 3, 5), dtype=np.uint8),
        rng.integers(0, 2, (count, 6), dtype=np.uint8),
    )


def test_public_names() -> None:
    assert hashbench.data.__all__ == [
        "ImageSet",
        "PixelValues",
        "Pixels",
        "Protocol",
        "RetrievalData",
        "as_retrieval_data",
        "protocol_of",
    ]
    assert all(hasattr(hashbench.data, name) for name in hashbench.data.__all__)


@given(index=st.integers(0, 4 * 15 - 1), change=st.integers(1, 255))
def test_digest_sees_every_pixel(index: int, change: int) -> None:
    before = images_of()
    changed = before.images[:].copy()
    changed.reshape(-1)[index] ^= change
    assert ImageSet(changed, before.labels).digest() != before.digest()


@given(index=st.integers(0, 4 * 6 - 1))
def test_digest_sees_every_label(index: int) -> None:
    before = images_of()
    changed = before.labels.copy()
    changed.reshape(-1)[index] ^= 1
    assert ImageSet(before.images, changed).digest() != before.digest()


def test_digest_does_not_see_memory_layout() -> None:
    before = images_of()
    other = ImageSet(np.asfortranarray(before.images), before.labels[::-1][::-1])
    assert other.digest() == before.digest()


def test_digest_sees_shapes_and_order() -> None:
    before = images_of()
    turned = ImageSet(before.images[:].reshape(4, 1, 5, 3), before.labels)
    swapped = ImageSet(before.images[::-1], before.labels[::-1])
    assert len({before.digest(), turned.digest(), swapped.digest()}) == 3


class Parts:
    """Images that are given out part by part alone, as those of a file are."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.images = images
        self.largest = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.images.dtype

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        part = self.images[index]
        self.largest = max(self.largest, len(part))
        return part


def test_digest_reads_images_part_by_part() -> None:
    whole = images_of(count=1203)
    parts = Parts(whole.images[:])
    assert ImageSet(parts, whole.labels).digest() == whole.digest()
    assert 0 < parts.largest < 1203


def test_content_stands_for_the_pixels() -> None:
    one, other = images_of(1), images_of(2)
    named = [ImageSet(part.images, one.labels, content="a") for part in (one, other)]
    assert named[0].digest() == named[1].digest()
    assert named[0].digest() != one.digest()
    assert ImageSet(one.images, one.labels, content="b").digest() != named[0].digest()
    assert ImageSet(one.images, 1 - one.labels, content="a").digest() != named[0].digest()
    with_other_shape = ImageSet(one.images[:].reshape(4, 1, 5, 3), one.labels, content="a")
    assert with_other_shape.digest() != named[0].digest()


def test_wide_images_must_be_as_many() -> None:
    one = images_of()
    wide = np.zeros((4, 1, 9, 9), np.uint8)
    assert ImageSet(one.images, one.labels, wide=wide).digest() == one.digest()
    with pytest.raises(UsageError, match="there are 4 images, but 3 wide ones"):
        ImageSet(one.images, one.labels, wide=wide[:3])


@pytest.mark.parametrize("what", [{"transform": "other"}, {"excluded": 1}])
def test_protocol_hash_sees_transform_and_exclusions(what: dict[str, Any]) -> None:
    data = RetrievalData(tuple("abcdef"), images_of(1), images_of(2), images_of(3))
    changed = dataclasses.replace(data, **what)
    plugin = Fashion()
    assert (
        protocol_of("d", plugin.list_length(), data).split
        == protocol_of("d", plugin.list_length(), changed).split
    )
    assert (
        protocol_of("d", plugin.list_length(), data).hash
        != protocol_of("d", plugin.list_length(), changed).hash
    )


@pytest.mark.parametrize("part", ["train", "query", "database"])
def test_protocol_hash_sees_every_split(part: str) -> None:
    data = RetrievalData(tuple("abcdef"), images_of(1), images_of(2), images_of(3))
    changed_images = getattr(data, part).images.copy()
    changed_images[2, 0, 1, 1] ^= 1
    splits = {"train": data.train, "query": data.query, "database": data.database}
    splits[part] = ImageSet(changed_images, splits[part].labels)
    changed = RetrievalData(data.classes, splits["train"], splits["query"], splits["database"])
    plugin = Fashion()
    assert (
        protocol_of("fashion", plugin.list_length(), data).hash
        == protocol_of("fashion", plugin.list_length(), data).hash
    )
    assert (
        protocol_of("fashion", plugin.list_length(), changed).hash
        != protocol_of("fashion", plugin.list_length(), data).hash
    )


def test_protocol_counts_and_metric() -> None:
    data = RetrievalData(tuple("abcdef"), images_of(1, 3), images_of(2, 2), images_of(3, 7))
    protocol = protocol_of("fashion", Fashion().list_length(), data)
    assert (protocol.train, protocol.query, protocol.database, protocol.classes) == (3, 2, 7, 6)
    assert protocol.metric == "map"
    assert dataclasses.replace(protocol, top_k=5000).metric == "map@5000"


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (np.zeros((2, 1, 3, 3), np.float32), np.zeros((2, 4), np.uint8), "images must be uint8"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros((2, 4), np.uint8), "images must be uint8"),
        (np.zeros((2, 1, 3, 3), np.uint8), np.zeros((3, 4), np.uint8), "labels must have shape"),
        (np.zeros((2, 1, 3, 3), np.uint8), np.full((2, 4), 2, np.uint8), "labels must be uint8"),
        (np.zeros((2, 1, 3, 3), np.uint8), np.zeros((2, 4), np.int64), "labels must be uint8"),
    ],
)
def test_malformed_sets_are_refused(images: object, labels: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ImageSet(images, labels)  # type: ignore[arg-type]


def test_splits_must_fit_each_other() -> None:
    with pytest.raises(UsageError, match="6 label columns, but there are 2 class names"):
        RetrievalData(("a", "b"), images_of(), images_of(), images_of())
    empty = ImageSet(np.zeros((0, 1, 3, 5), np.uint8), np.zeros((0, 6), np.uint8))
    with pytest.raises(UsageError, match="the query split is empty"):
        RetrievalData(tuple("abcdef"), images_of(), empty, images_of())
    other = ImageSet(np.zeros((2, 1, 5, 5), np.uint8), np.zeros((2, 6), np.uint8))
    with pytest.raises(UsageError, match="train images have shape"):
        RetrievalData(tuple("abcdef"), other, images_of(), images_of())
