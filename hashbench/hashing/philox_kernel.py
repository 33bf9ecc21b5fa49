"""Philox4x64-10 as one kernel of a GPU, in Triton, which comes with torch's builds for GPUs.

The plain operations of `words_in_tensors` launch some five hundred kernels for as many numbers and
are what this is checked against, once in a process, before it is used. Imported only then.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from hashbench.hashing.philox import BLOCK, Place, signed

_TOGETHER: Final = 256
"""Blocks of the counter that one program of the kernel makes."""


def words_by_kernel(keys: Tensor, place: Place, count: int) -> Tensor:
    """`hashbench.hashing.device_words.words` on a GPU."""
    made = torch.empty((len(keys), count), dtype=torch.int64, device=keys.device)
    if made.numel() > 0:
        grid = (triton.cdiv(count, BLOCK * _TOGETHER), len(keys))
        start = place.word // BLOCK
        _fill[grid](made, keys, signed(place.call), start, count, _TOGETHER)
    return made


@triton.jit  # type: ignore[untyped-decorator]
def _fill(made, keys, call, start, count, together: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(1).to(tl.int64)
    block = tl.program_id(0).to(tl.int64) * together + tl.arange(0, together)
    zero = block * 0
    first, second, third, fourth = tl.philox(
        tl.load(keys + row), block + start, zero + call, zero, zero
    )
    word = 4 * block
    into = made + row * count + word
    tl.store(into, first.to(tl.int64, bitcast=True), mask=word < count)
    tl.store(into + 1, second.to(tl.int64, bitcast=True), mask=word + 1 < count)
    tl.store(into + 2, third.to(tl.int64, bitcast=True), mask=word + 2 < count)
    tl.store(into + 3, fourth.to(tl.int64, bitcast=True), mask=word + 3 < count)
