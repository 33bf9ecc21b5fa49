"""The batches of a training, on the device that trains: no step waits for its images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.data.images import Pixels
from hashbench.hashing.batches import batches
from hashbench.hashing.encode import as_images
from hashbench.hashing.kept import Keeping
from hashbench.hashing.objective import Batch
from hashbench.hashing.sending import sent

RESIDENT_SHARE: Final = 0.25
"""A train set lies on the GPU where it takes at most this share of the memory that is free there
before the first step: the rest is for what a step needs, and for other workers."""

_TOGETHER: Final = 500
"""Images that go to the GPU at a time."""


class Feed:
    """A train set as batches.

    On the CPU each batch is read when its step comes. On a GPU the whole train set is laid there
    once, as uint8, if it fits; else the next batch is read, and copied from pinned memory beside
    the computation, while the GPU works on the last. The batches are the same to the bit.
    """

    def __init__(self, pixels: Pixels, labels: NDArray[np.uint8], device: torch.device) -> None:
        """Lay out what stays on the device.

        Args:
            pixels: the train set, uint8 (N, C, H, W); one that draws when it is read (random crops)
                is read batch by batch.
            labels: (N, classes) of 0 and 1.
            device: where batches are wanted.
        """
        self._pixels = pixels
        self._device = device
        self._labels = sent(torch.from_numpy(labels).float(), device)
        self._resident = resident(pixels, device)

    def epoch(self, order: Tensor, size: int) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            order: (N,) int64, the places of all items, on the CPU.
            size: items of a batch, as `batches` cuts them.
        """
        there = sent(order, self._device)
        parts = batches(there, size)
        for index, images in zip(parts, self._images(order.numpy(), parts), strict=True):
            yield Batch(images=images, labels=self._labels[index], index=index)

    def _images(self, order: NDArray[np.int64], parts: tuple[Tensor, ...]) -> Iterator[Tensor]:
        if self._resident is not None:
            for index in parts:
                yield self._resident[index].float().div_(255)
            return
        ends = np.cumsum([len(index) for index in parts])
        read = (self._pixels[places] for places in np.split(order, ends[:-1]))
        if self._device.type == "cuda":
            yield from beside(read, self._device)
        else:
            for pixels in read:
                yield as_images(pixels, self._device)


def resident(pixels: Pixels, device: torch.device) -> Tensor | None:
    """All images on a GPU, uint8, if they fit there and answer every reading alike; else `None`."""
    if device.type != "cuda" or isinstance(pixels, Keeping):
        return None
    free, _ = torch.cuda.mem_get_info(device)
    if int(np.prod(pixels.shape)) > RESIDENT_SHARE * free:
        return None
    try:
        held = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
    except torch.OutOfMemoryError:  # another process was faster
        return None
    for start in range(0, len(pixels), _TOGETHER):
        part = np.ascontiguousarray(pixels[start : start + _TOGETHER])
        held[start : start + len(part)] = sent(torch.from_numpy(part), device)
    return held


def beside(read: Iterator[NDArray[np.uint8]], device: torch.device) -> Iterator[Tensor]:
    """Images of a GPU, each batch copied in a stream beside the one that computes.

    Args:
        read: reads a batch when it is asked for one.
        device: the GPU.
    """
    aside = torch.cuda.Stream(device)
    for pixels in read:
        with torch.cuda.stream(aside):
            images = as_images(pixels, device)
        computing = torch.cuda.current_stream(device)
        computing.wait_stream(aside)
        images.record_stream(computing)
        yield images
