"""Random numbers by counting: each is a function of a seed, a call and a place, of nothing else.

So neither the device nor how many are drawn at once changes one, and they are made where they are
needed. The words are those of `hashbench.hashing.philox`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from hashbench.errors import UsageError
from hashbench.hashing.device_words import words
from hashbench.hashing.normal_quantile import normal_quantile
from hashbench.hashing.philox import BLOCK, Place, high_product, signed
from hashbench.hashing.sending import sent

_AT_ONCE: Final = {"cpu": 1 << 15, "cuda": 1 << 22}
"""Words that are made at a time, of 8 bytes each: as many as a processor's cache takes; on a GPU
32 MiB, while some dozen tensors of that size are held."""

_SIGN: Final = -(1 << 63)


class CounterRandom:
    """Draws tensors whose first axis is a number of streams, one for each seed.

    Row i is drawn from the stream of seed i alone. The numbers are made on the device, with the
    same bits on each, and however many streams are drawn from together: Philox4x64-10 (Salmon et
    al., SC 2011) with the seed as its key, and the number of the call and the place in the row as
    its counter. What is drawn depends on the order of the calls, never on how much they drew.

    The bits that a stream gives are part of no promise between versions of hashbench.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        """Start the streams.

        Args:
            seeds: one for each row, whole numbers from -2^63 to 2^64 - 1; all their bits count.
            device: where tensors are wanted.

        Raises:
            UsageError: a seed is beyond these.
        """
        self._device = torch.device(device)
        self._keys = self._on_device([_key(seed) for seed in seeds])
        self._calls = 0

    @classmethod
    def drawn_from(
        cls, generator: torch.Generator | None, device: torch.device | str = "cpu"
    ) -> CounterRandom:
        """One stream, of a seed that a generator of torch gives.

        For many numbers on a GPU, at the cost of one number of the CPU: only `generator` has a
        state to keep, if all of the stream is drawn at once.

        Args:
            generator: of the CPU; `None` is the one that all of the process share.
            device: where tensors are wanted.
        """
        seed = torch.randint(torch.iinfo(torch.int64).max, (), generator=generator)
        # By numpy, since it lies on the host: nothing is waited for.
        return cls([int(seed.numpy())], device)

    def __len__(self) -> int:
        return len(self._keys)

    def uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers in `[low, high)`, float32, of shape (B, *shape).

        `low + (high - low) * k / 2^24`, k one of the 2^24 whole numbers below 2^24: one product and
        one sum of float32, each rounded by itself. Where the sum would round to `high`, it is the
        number below it.
        """
        low, high = (float(np.float32(end)) for end in (low, high))
        span = float(np.float32(high - low))
        drawn, parts = self._room(shape, torch.float32, each=0.5)
        for rows, first, made in parts:
            bits = (made.view(torch.int32) >> 8).bitwise_and_(0xFFFFFF)
            part = bits.float().mul_(2.0**-24).mul_(span).add_(low)
            if high > low:
                part.clamp_(max=float(np.nextafter(np.float32(high), np.float32(low))))
            into = drawn[rows, 2 * first : 2 * first + part.shape[1]]
            into.copy_(part[:, : into.shape[1]])
        return drawn.view(len(self), *shape)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers, float32, of shape (B, *shape).

        The quantiles of `(k + 1/2) / 2^52`, k one of the whole numbers below 2^52, in float64 (see
        `hashbench.hashing.normal_quantile`), rounded to float32; none is beyond 8.3.
        """
        drawn, parts = self._room(shape, torch.float32, each=1)
        for rows, first, made in parts:
            whole = (made >> 12).double()  # from -2^51 up: the sign's bit stays
            part = normal_quantile(whole.add_(0.5).mul_(2.0**-52))
            drawn[rows, first : first + part.shape[1]] = part.float()
        return drawn.view(len(self), *shape)

    def integers(self, shape: Sequence[int], high: int) -> Tensor:
        """Whole numbers from 0 to `high - 1`, int64, of shape (B, *shape).

        `floor(high * w / 2^128)` for 128 random bits w: no number's chance is off by more than
        2^-128, which is a share of 2^-65 where `high` is largest.

        Raises:
            UsageError: `high` is below 1 or above 2^63.
        """
        if not 1 <= high <= 1 << 63:
            raise UsageError(f"random integers need a high from 1 to 2^63, found {high}")
        factor = high if high < 1 << 63 else _SIGN
        drawn, parts = self._room(shape, torch.int64, each=2)
        for rows, first, made in parts:
            lower, upper = made[:, 0::2], made[:, 1::2]
            product, carried = upper * factor, high_product(lower, high)
            over = (product + carried ^ _SIGN) < (product ^ _SIGN)  # compared without signs
            part = high_product(upper, high) + over
            drawn[rows, first // 2 : first // 2 + part.shape[1]] = part
        return drawn.view(len(self), *shape)

    def state_dict(self) -> Mapping[str, Any]:
        """The seeds, and how many calls there were: all that there is to keep."""
        return {"keys": self._keys.tolist(), "calls": self._calls}

    def load_state_dict(self, state_dict: Any, /) -> None:
        """Go on where a state was taken.

        Raises:
            UsageError: it is of another number of streams.
        """
        keys, calls = [_key(key) for key in state_dict["keys"]], int(state_dict["calls"])
        if len(keys) != len(self._keys):
            raise UsageError(
                f"a state of {len(keys)} random streams was given to {len(self._keys)}"
            )
        self._keys, self._calls = self._on_device(keys), calls

    def _on_device(self, keys: Sequence[int]) -> Tensor:
        """Keys (B,) where words are made; a single one is filled in there, and never sent."""
        words_on = self._device if self._device.type == "cuda" else torch.device("cpu")
        whole = [signed(key) for key in keys]
        if len(whole) == 1:
            return torch.full((1,), whole[0], dtype=torch.int64, device=words_on)
        return sent(torch.tensor(whole, dtype=torch.int64), words_on)

    def _room(
        self, shape: Sequence[int], dtype: torch.dtype, each: float
    ) -> tuple[Tensor, Iterator[tuple[slice, int, Tensor]]]:
        """Begin a call: an empty tensor (B, numbers), and the parts that it is filled from.

        A device that is neither the CPU nor a CUDA device is sent what the CPU makes.

        Args:
            shape: of a row.
            dtype: of the numbers.
            each: words that a number takes.
        """
        numbers = math.prod(shape)
        drawn = torch.empty((len(self), numbers), dtype=dtype, device=self._device)
        call, self._calls = self._calls, self._calls + 1
        return drawn, self._parts(call, math.ceil(numbers * each))

    def _parts(self, call: int, count: int) -> Iterator[tuple[slice, int, Tensor]]:
        """The words of a call, some rows or some of a row at a time: rows, first word, words."""
        most = _AT_ONCE[self._keys.device.type]
        columns = max(BLOCK, most // BLOCK * BLOCK)
        height = max(1, most // max(1, count))
        for top in range(0, len(self), height):
            rows = slice(top, min(top + height, len(self)))
            for first in range(0, count, columns):
                wanted = min(columns, count - first)
                yield rows, first, words(self._keys[rows], Place(call, first), wanted)


def _key(seed: int) -> int:
    if not -(1 << 63) <= seed < 1 << 64:
        raise UsageError(f"a seed must be a whole number from -2^63 to 2^64 - 1, found {seed}")
    return int(seed) % (1 << 64)
