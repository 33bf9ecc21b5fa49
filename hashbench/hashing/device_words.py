"""Philox's words on the device where they are wanted, in the quickest way that it has."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TypeAlias

import torch
from torch import Tensor

from hashbench.characters import first_line
from hashbench.hashing.philox import Place, signed, words_by_numpy, words_in_tensors

Way: TypeAlias = Callable[[Tensor, Place, int], Tensor]
"""How words are made: see `words`."""


def words(keys: Tensor, place: Place, count: int) -> Tensor:
    """Random words, int64 of shape (B, count), made where the keys are.

    Args:
        keys: (B,) int64, one per row; all 64 bits count.
        place: where each row begins.
        count: words of each row.
    """
    return way_of(keys.device)(keys, place, count)


@cache
def way_of(device: torch.device) -> Way:
    """The quickest way on a device: all give the same words.

    Warns, once for a device, where a GPU has Triton and its kernel is of no use.
    """
    if device.type == "cpu":
        return words_by_numpy
    # Torch for GPUs brings Triton along, but not on every system.
    if device.type != "cuda" or not torch.cuda.is_available() or find_spec("triton") is None:
        return words_in_tensors
    try:
        from hashbench.hashing.philox_kernel import words_by_kernel

        if agrees(words_by_kernel, device):
            return words_by_kernel
        trouble = "its words differ from numpy's"
    except torch.OutOfMemoryError:
        raise  # which says nothing of the kernel: it is tried again
    except Exception as error:  # Triton's compiler, the driver and the linker each raise their own
        trouble = f"it does not run here ({type(error).__name__}: {first_line(error)})"
    warnings.warn(
        f"random numbers on {device}: the kernel is not used, since {trouble}; operations of "
        "tensors make them instead: slower, the same numbers",
        RuntimeWarning,
        stacklevel=2,
    )
    return words_in_tensors


def agrees(way: Way, device: torch.device) -> bool:
    """Whether a way gives the words of numpy: some keys, calls, places and counts."""
    keys = torch.tensor([0, 1, signed(0x9E3779B97F4A7C15), -1])
    places = (Place(0), Place(1, 4 * 255), Place((1 << 64) - 1, 1 << 34))
    return all(
        torch.equal(way(keys.to(device), place, 1030).cpu(), words_by_numpy(keys, place, 1030))
        for place in places
    )
