"""Images that a program hands over, as uint8 (N, C, H, W): arrays, tensors, pictures of Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import UsageError

ROUNDED: Final = "floats in [0, 1], rounded to whole 8-bit pixels"
"""What a protocol says of images that were no whole pixels."""

COLOURED: Final = "grey images among colour ones, as red, green and blue alike"
"""What a protocol says of images of which only some were grey."""

CHANNELS: Final = (1, 3)
"""How many an image may have: grey, or red, green and blue."""

_PART: Final = 500
"""Images that are looked at together: no second copy of all of them is made."""

_DEEP: Final = ("I", "F")
"""How the names of Pillow's modes of more than 8 bits begin."""

NORMALISED: Final = (
    "give images as they are before normalisation, and the mean and deviation to the model "
    "(mean=, std= of hashbench.evaluate)"
)


@dataclass(frozen=True)
class WholePixels:
    """Images as whole pixels.

    Attributes:
        images: uint8 (N, C, H, W); a view of what was given, where that is uint8.
        rounded: whether any of them was a float between two whole pixels.
    """

    images: NDArray[np.uint8]
    rounded: bool = False


def detached(value: Any) -> Any:
    """A tensor of torch on any device as an array, in float32 where it is bfloat16; all else as is.

    Tensors are known by their methods, so that torch is never imported here.
    """
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return value
    value = value.detach().cpu()
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":  # which numpy lacks
        value = value.float()
    return value.numpy()


def array_of(value: object, where: str) -> NDArray[Any]:
    """An array, or a tensor of torch on any device, as an array; lists of them as well.

    Args:
        value: what was given.
        where: opens the sentence of an error.

    Raises:
        UsageError: it is none.
    """
    try:
        found = np.asarray(detached(value))
    except (ValueError, TypeError) as error:  # of lists whose members differ in shape, say
        raise UsageError(f"{where} are no array: {error}") from None
    if found.dtype == object:
        raise UsageError(f"{where} are no array of numbers, but of {_kind(found)}")
    return found


def images_of(value: object, split: str) -> WholePixels:
    """A whole split's images.

    Args:
        value: uint8, or floats in `[0, 1]`, which are rounded to whole 8-bit pixels; of shape
            (N, C, H, W), (N, H, W, C) or, grey, (N, H, W), with C of 1 or 3. What can be read
            either way is (N, C, H, W).
        split: `train`, `query` or `database`, for errors.

    Raises:
        UsageError: it is of another shape or type, or holds values that are no pixels; names the
            first such image.
    """
    where = f"the {split} images"
    array = array_of(value, where)
    shape = array.shape
    if array.ndim and not len(array):
        raise UsageError(f"the {split} split is empty")
    if array.ndim == 3:
        array = array[:, np.newaxis]
    elif array.ndim == 4 and shape[1] not in CHANNELS and shape[3] in CHANNELS:
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in CHANNELS or 0 in array.shape:
        raise UsageError(
            f"{where} have shape {shape}, expected (N, C, H, W), (N, H, W, C) or, grey, (N, H, W), "
            "with 1 or 3 channels"
        )
    if array.dtype == np.uint8:
        return WholePixels(array)
    _refuse_type(array, where)
    pixels = np.empty(array.shape, dtype=np.uint8)
    rounded = False
    for start in range(0, len(array), _PART):
        part = array[start : start + _PART]
        pixels[start : start + len(part)], moved = _whole(part, split, start)
        rounded = rounded or moved
    return WholePixels(pixels, rounded)


def image_of(value: object, split: str, index: int) -> WholePixels:
    """One image of a split, uint8 (1, C, H, W).

    Args:
        value: a picture of Pillow, or an array or tensor as for `images_of`, (C, H, W), (H, W, C)
            or (H, W). A picture of Pillow is grey where its mode is, and else red, green, blue.
        split: of which, for errors.
        index: which of its images.

    Raises:
        UsageError: as `images_of`.
    """
    where = f"the {split} image {index}"
    if hasattr(value, "convert") and hasattr(value, "getbands"):
        mode = str(getattr(value, "mode", ""))
        if mode.startswith(_DEEP):  # which Pillow would clip
            raise UsageError(
                f"{where} has more than 8 bits a channel (mode {mode}); convert it to 8 bits"
            )
        grey = value.getbands() in (("L",), ("1",))
        value = np.asarray(value.convert("L" if grey else "RGB"))
    array = array_of(value, where)
    shape = array.shape
    if array.ndim == 2:
        array = array[np.newaxis]
    elif array.ndim == 3 and shape[0] not in CHANNELS and shape[2] in CHANNELS:
        array = array.transpose(2, 0, 1)
    if array.ndim != 3 or array.shape[0] not in CHANNELS or 0 in array.shape:
        raise UsageError(
            f"{where} has shape {shape}, expected (C, H, W), (H, W, C) or, grey, (H, W), with 1 or "
            "3 channels"
        )
    if array.dtype == np.uint8:
        return WholePixels(array[np.newaxis])
    _refuse_type(array, where)
    pixels, rounded = _whole(array[np.newaxis], split, index)
    return WholePixels(pixels, rounded)


def coloured(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey images (..., 1, H, W) as (..., 3, H, W), a view; colour ones as they are."""
    return np.broadcast_to(images, (*images.shape[:-3], CHANNELS[-1], *images.shape[-2:]))


def _refuse_type(array: NDArray[Any], where: str) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(
            f"{where} are {array.dtype}, expected uint8 from 0 to 255 or floats from 0 to 1; "
            "whole numbers from 0 to 255 are to be given as uint8"
        )


def _whole(part: NDArray[Any], split: str, start: int) -> tuple[NDArray[np.uint8], bool]:
    """Some images as whole pixels, and whether any of them was none."""
    # Not in the precision of halves, where 255 times a value is no longer exact enough.
    values = part.astype(np.float32 if part.dtype.itemsize < 4 else part.dtype, copy=False)
    right = (values >= 0) & (values <= 1)  # written so that NaN is refused too
    if not right.all():
        wrong = int(np.argmin(right.reshape(len(values), -1).all(axis=1)))
        worst = values[wrong][~right[wrong]].flat[0]
        whole_numbers = bool((values[wrong] >= 0).all() and (values[wrong].max() > 5))
        todo = "divide them by 255" if whole_numbers else NORMALISED
        raise UsageError(
            f"the {split} image {start + wrong} holds the value {float(worst):g}, but floats must "
            f"be pixels from 0 to 1: {todo}"
        )
    scaled = values * 255
    whole = np.rint(scaled)
    # A quotient k / 255 and the product with 255 round once each.
    slack = 255 * 2 * float(np.finfo(part.dtype).eps)
    return whole.astype(np.uint8), bool((np.abs(scaled - whole) > slack).any())


def _kind(array: NDArray[Any]) -> str:
    first = array.flat[0] if array.size else None
    return f"objects of type {type(first).__name__}"
