"""Philox4x64-10: from a key and a counter to four random 64-bit words, the same on every device.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. No word
depends on another, so any part of a stream can be made anywhere, in any order. On the CPU numpy's
own Philox makes them, on a GPU one kernel (`hashbench.hashing.philox_kernel`), or, where that
cannot be had, whole-number operations of tensors, in which nothing is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

BLOCK: Final = 4
"""Words that one value of the counter gives."""

ROUNDS: Final = 10
_MULTIPLIERS: Final = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL: Final = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)  # the golden ratio, and sqrt(3) - 1
_LOW: Final = 0xFFFFFFFF
_ALL: Final = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class Place:
    """Where in its stream a draw begins.

    The counter's first word is the number of the block, its second that of the call; the other two,
    and the key's second word, are 0.

    Attributes:
        call: how many calls came before, 0 or more, below 2^64.
        word: the first word of the call that is wanted, a multiple of 4.
    """

    call: int
    word: int = 0


def words_by_numpy(keys: Tensor, place: Place, count: int) -> Tensor:
    """Random words, int64 of shape (B, count), on the CPU.

    Args:
        keys: (B,) int64, one per row; all 64 bits count.
        place: where each row begins.
        count: words of each row.
    """
    made = np.empty((len(keys), count), dtype=np.uint64)
    if made.size == 0:
        return torch.from_numpy(made.view(np.int64))
    # numpy counts on before it makes a block.
    before = ((place.call << 64) + place.word // BLOCK - 1) % (1 << 256)
    philox = np.random.Philox(key=0, counter=before)
    state = philox.state
    key = state["state"]["key"]
    for row, value in zip(made, keys.numpy().tolist(), strict=True):
        key[0] = value & _ALL
        philox.state = state
        row[:] = philox.random_raw(count)
    return torch.from_numpy(made.view(np.int64))


def words_in_tensors(keys: Tensor, place: Place, count: int) -> Tensor:
    """The same by operations of tensors, on any device that has int64."""
    device = keys.device
    blocks = -(-count // BLOCK)
    start = place.word // BLOCK
    counter = torch.arange(start, start + blocks, device=device).unsqueeze(0)
    zero = torch.zeros((1, 1), dtype=torch.int64, device=device)
    call = torch.full_like(zero, signed(place.call))
    first, second, third, fourth = counter, call, zero, zero
    key = keys.unsqueeze(1)
    other = 0
    for _ in range(ROUNDS):
        high, low = _product(first, _MULTIPLIERS[0])
        far_high, far_low = _product(third, _MULTIPLIERS[1])
        first, second = far_high ^ second ^ key, far_low
        third, fourth = high ^ fourth ^ signed(other), low
        key = key + signed(_WEYL[0])
        other = other + _WEYL[1] & _ALL
    shape = (len(keys), blocks)
    made = torch.stack([word.expand(shape) for word in (first, second, third, fourth)], dim=-1)
    return made.flatten(1)[:, :count]


def high_product(values: Tensor, factor: Tensor | int) -> Tensor:
    """The upper 64 of the 128 bits of products.

    Args:
        values: int64, taken as whole numbers from 0 to 2^64 - 1.
        factor: a whole number from 0 to 2^64 - 1, or a tensor of them as `values`.

    Returns:
        int64, to be taken in the same way.
    """
    if isinstance(factor, int):
        small, large = factor & _LOW, factor >> 32
        return _high(values, small, large)
    return _high(values, factor & _LOW, _shifted(factor))


def _product(values: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """The upper and the lower 64 bits. int64 wraps, and its lower bits know no sign."""
    return high_product(values, factor), values * signed(factor)


def _high(values: Tensor, small: Tensor | int, large: Tensor | int) -> Tensor:
    """By halves of 32 bits; no sum below passes 64."""
    low, high = values & _LOW, _shifted(values)
    middle = low * large + _shifted(low * small)
    cross = high * small + (middle & _LOW)
    return high * large + _shifted(middle) + _shifted(cross)


def _shifted(values: Tensor) -> Tensor:
    """The upper 32 bits; a shift of int64 alone would repeat the sign."""
    return values >> 32 & _LOW


def signed(value: int) -> int:
    """The int64 of the same 64 bits."""
    return value - (1 << 64) if value >> 63 else value
