"""A split that a program hands over item by item, as a data set of torch: read into memory once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.characters import shown
from hashbench.data.given.classes import Numbering, numbering_of
from hashbench.data.given.images import WholePixels, detached, image_of
from hashbench.data.images import Pixels
from hashbench.errors import HashbenchError, UsageError
from hashbench.progress import Progress

_ASKED_TWICE: Final = 8
"""Images of a data set that are asked for again: a transform that draws shows in one of them."""

_KEYS_SHOWN: Final = 8
"""Keys of a mapping that an error names."""

_PAIRS: Final = (
    ("image", "label"),
    ("img", "label"),
    ("image", "labels"),
    ("images", "labels"),
    ("img", "fine_label"),
)
"""The keys of an item or a split that is a mapping, as HuggingFace's data sets name them."""


@dataclass(frozen=True)
class GivenSplit:
    """One split before its labels are read.

    Attributes:
        pixels: its images.
        labels: as they were given.
        rounded: whether a float between two whole pixels was among the images.
        mixed: whether some of them were grey and others not.
        classes: how the data set numbers its classes, where it says so.
    """

    pixels: Pixels
    labels: Any
    rounded: bool = False
    mixed: bool = False
    classes: Numbering | None = None


def read_items(part: Any, split: str, progress: Progress) -> GivenSplit:
    """Read a data set, item by item.

    Args:
        part: has a length, and items `(image, label)` or mappings with one of the pairs of keys.
        split: `train`, `query` or `database`, for errors.
        progress: told (done, total).

    Raises:
        UsageError: it is empty, an item is none, images differ in size, or an image is another one
            each time; names the first such item.
    """
    count = len(part)
    if not count:
        raise UsageError(f"the {split} split is empty")
    pixels: NDArray[np.uint8] | None = None
    labels: list[Any] = []
    rounded = mixed = False
    key: str | None = None
    for index in range(count):
        image, label, key = _item(part, split, index)
        whole = image_of(image, split, index)
        found = whole.images
        if pixels is None:
            pixels = np.empty((count, *found.shape[1:]), dtype=np.uint8)
        if found.shape[2:] != pixels.shape[2:]:
            raise UsageError(
                f"the {split} images differ in size: image 0 is {_size(pixels)}, image {index} is "
                f"{_size(found)} (channels x height x width); resize and crop them to one size in "
                "the data set's transform"
            )
        if index < _ASKED_TWICE:
            _refuse_draws(part, split, index, whole)
        if found.shape[1] != pixels.shape[1]:
            mixed = True
        if found.shape[1] > pixels.shape[1]:  # the first one in colour, of which no bit is lost
            wider = np.empty((count, *found.shape[1:]), dtype=np.uint8)
            wider[:index] = pixels[:index]
            pixels = wider
        pixels[index] = found[0]  # a grey one in each channel
        rounded = rounded or whole.rounded
        labels.append(_label(label))
        progress(index + 1, count)
    assert pixels is not None  # there is at least one
    return GivenSplit(pixels, labels, rounded, mixed, numbering_of(part, key))


def _item(part: Any, split: str, index: int) -> tuple[Any, Any, str | None]:
    """An image, its label, and the label's key where the item is a mapping."""
    try:
        item = part[index]
    except HashbenchError:
        raise
    except Exception as error:  # somebody's data set may raise anything
        raise UsageError(
            f"the {split} data set raises {type(error).__name__} for image {index}: {error}"
        ) from error
    kind = f"a {type(item).__name__}"
    if isinstance(item, Mapping):
        keys = keys_of(item)
        if keys is not None:
            return item[keys[0]], item[keys[1]], keys[1]
        kind += f" with {named_keys(item)}"
    elif isinstance(item, tuple | list) and len(item) >= 2:
        return item[0], item[1], None
    raise UsageError(
        f"the {split} data set gives {kind} for image {index}, expected (image, label), or the "
        "keys 'image' and 'label'"
    )


def _refuse_draws(part: Any, split: str, index: int, first: WholePixels) -> None:
    again, *_ = _item(part, split, index)
    second = image_of(again, split, index)
    if not np.array_equal(first.images, second.images):
        raise UsageError(
            f"the {split} data set gives another picture each time that image {index} is asked "
            "for: leave out transforms that draw (random crops, flips)"
        )


def _label(label: Any) -> Any:
    label = detached(label)
    return label.item() if getattr(label, "ndim", None) == 0 else label


def _size(images: NDArray[np.uint8]) -> str:
    return " x ".join(map(str, images.shape[1:]))


def keys_of(item: Mapping[Any, Any]) -> tuple[str, str] | None:
    """The keys of image and label."""
    return next((pair for pair in _PAIRS if pair[0] in item and pair[1] in item), None)


def named_keys(item: Mapping[Any, Any]) -> str:
    """The keys that a mapping has, for an error."""
    keys = ", ".join(f"'{shown(str(key))[:80]}'" for key in list(item)[:_KEYS_SHOWN])
    return f"the keys {keys}" if keys else "no keys"
