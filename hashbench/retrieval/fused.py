"""Histograms on a GPU by one kernel: popcount and counting at once, without a matrix of distances.

`hashbench.retrieval.tensors` writes every distance and every key to memory and reads it again; here
a pair of a query and an item lives in registers. Imports torch and Triton, which comes with torch
for GPUs, and is itself imported only where a scorer works on a GPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np
import torch

from hashbench.characters import first_line
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.kernel import count_keys
from hashbench.retrieval.packing import Bytes
from hashbench.retrieval.queries import Queries, group_queries
from hashbench.retrieval.stable import Hits
from hashbench.retrieval.tally import Tally
from hashbench.retrieval.tensors import TensorDatabase

# Triton compiles the source of a function and looks up its names in the module.
triton: Any = import_module("triton")
tl: Any = import_module("triton.language")
_kernel: Callable[..., Any] = triton.jit

# Items that a program looks at in one step of its loop, and in all its steps.
_BLOCK_ITEMS: Final = 2048
_PROGRAM_ITEMS: Final = 1 << 15
# The fewest places of a histogram: one for each thread of a warp.
_LEAST_BINS: Final = 32
# Size of the problem that a kernel is tried on: more than a block, and no whole number of blocks.
_TRIED_QUERIES: Final = 5
_TRIED_ITEMS: Final = _BLOCK_ITEMS + 77


@_kernel
def _set_bits(words: tl.tensor) -> tl.tensor:
    """Set bits of each word of 32 bits, by sums of neighbours.

    Warren, *Hacker's Delight*, 2nd ed., section 5-1. LLVM knows these lines, and makes one
    instruction of them (``popc.b32``) where the processor has one.
    """
    bits = words.to(tl.uint32, bitcast=True)
    bits = bits - ((bits >> 1) & 0x55555555)
    bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F
    bits = bits + (bits >> 8)
    return ((bits + (bits >> 16)) & 0x3F).to(tl.int32)


@_kernel
def _count(
    codes: tl.tensor,
    labels: tl.tensor,
    asked: tl.tensor,
    asked_labels: tl.tensor,
    out: tl.tensor,
    items: tl.tensor,
    words: tl.constexpr,
    label_words: tl.constexpr,
    relevant: tl.constexpr,
    bins: tl.constexpr,
    block: tl.constexpr,
    program: tl.constexpr,
) -> None:
    """Add one query's keys over some items to its row of ``out``, int64 ``(Q, bins)``.

    ``codes`` and ``labels`` are int32 ``(words, items)`` and ``(label_words, items)``, ``asked``
    and ``asked_labels`` are ``(Q, words)`` and ``(Q, label_words)``.
    """
    query = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * program
    counts = tl.zeros((bins,), dtype=tl.int32)
    for at in range(first, tl.minimum(first + program, items), block):
        place = at + tl.arange(0, block)
        valid = place < items
        key = tl.zeros((block,), dtype=tl.int32)
        for word in tl.static_range(words):
            mine = tl.load(asked + query * words + word)
            theirs = tl.load(codes + word * items + place, mask=valid, other=0)
            key += _set_bits(theirs ^ mine)
        shared = tl.zeros((block,), dtype=tl.int32)
        for word in range(label_words):
            mine = tl.load(asked_labels + query * label_words + word)
            if mine != 0:
                theirs = tl.load(labels + word * items + place, mask=valid, other=0)
                shared |= theirs & mine
        key += tl.where(shared != 0, relevant, 0)
        counts += tl.histogram(key, bins, mask=valid)
    tl.atomic_add(out + query * bins + tl.arange(0, bins), counts.to(tl.int64))


@dataclass(frozen=True)
class FusedDatabase:
    """A database whose histograms one kernel counts; rankings are left to the matrix products.

    Attributes:
        plain: the same database by matrix products: the fallback.
    """

    plain: TensorDatabase

    def tally(self, queries: Queries) -> Tally:
        """Items per query and distance, over all shards."""
        packed, device = self.plain.packed, self.plain.device
        trouble = trouble_with(device, packed.bits, packed.classes)
        if trouble:
            _note(str(device), trouble)
            return self.plain.tally(queries)
        return count_pairs(queries, packed.parts(), device)

    def stable_hits(self, queries: Queries, tally: Tally, length: int) -> Iterator[Hits]:
        """See `hashbench.retrieval.stable.stable_hits`."""
        return self.plain.stable_hits(queries, tally, length)


def count_pairs(
    queries: Queries, parts: Iterator[tuple[Bytes, Bytes]], device: torch.device
) -> Tally:
    """Items per query and distance over packed codes and labels of parts of a database."""
    width = queries.bits + 1
    bins = bins_of(queries.bits)
    asked, asked_labels = (_words(rows).to(device) for rows in (queries.packed, queries.labels))
    out = torch.zeros((queries.count, bins), dtype=torch.int64, device=device)
    for part, part_labels in parts:
        codes, labels = (_words(rows).T.contiguous().to(device) for rows in (part, part_labels))
        grid = (queries.count, triton.cdiv(part.shape[0], _PROGRAM_ITEMS))
        _count[grid](
            codes,
            labels,
            asked,
            asked_labels,
            out,
            part.shape[0],
            **constants(asked.shape[1], asked_labels.shape[1], queries.bits),
        )
    keys = out.cpu().numpy()
    relevant = keys[:, width : 2 * width]
    return Tally(keys[:, :width] + relevant, relevant)


def constants(words: int, label_words: int, bits: int) -> dict[str, int]:
    """What the kernel is compiled for."""
    return {
        "words": words,
        "label_words": label_words,
        "relevant": bits + 1,
        "bins": bins_of(bits),
        "block": _BLOCK_ITEMS,
        "program": _PROGRAM_ITEMS,
    }


def bins_of(bits: int) -> int:
    """Places of a histogram of ``distance + relevant * (K + 1)``: a power of two."""
    return max(_LEAST_BINS, 1 << (2 * bits + 1).bit_length())


@cache
def trouble_with(device: torch.device, bits: int, classes: int) -> str:
    """Why the kernel is of no use on this machine, empty where it is.

    It is compiled and compared with numpy's counts once per process, device, length of the codes
    and number of classes: a compiler that is missing, a card that is too old and counts that differ
    all show here.
    """
    rng = np.random.default_rng(0)
    (codes, labels), (more_codes, more_labels) = (
        (_random_rows(rng, rows, bits), _random_rows(rng, rows, classes, density=2 / classes))
        for rows in (_TRIED_QUERIES, _TRIED_ITEMS)
    )
    queries = group_queries(codes, labels, bits)
    wanted: Ints = np.zeros((_TRIED_QUERIES, 2 * (bits + 1)), dtype=np.int64)
    count_keys(queries, more_codes, more_labels, wanted)
    try:
        found = count_pairs(queries, iter([(more_codes, more_labels)]), device)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # Triton's compiler, the driver and the linker each raise their own
        return f"it does not run here ({type(error).__name__}: {first_line(error)})"
    relevant = wanted[:, bits + 1 :]
    same = np.array_equal(found.relevant, relevant) and np.array_equal(
        found.total, wanted[:, : bits + 1] + relevant
    )
    return "" if same else "its counts differ from numpy's"


@cache
def _note(device: str, trouble: str) -> None:
    """Say once why a kernel is not used."""
    warnings.warn(
        f"retrieval on {device}: the fused kernel is not used, since {trouble}; matrix products "
        "count instead: slower, with the same result",
        RuntimeWarning,
        stacklevel=2,
    )


def _random_rows(rng: np.random.Generator, rows: int, columns: int, density: float = 0.5) -> Bytes:
    return np.packbits(rng.random((rows, columns)) < density, axis=1, bitorder="little")


def _words(packed: Bytes) -> torch.Tensor:
    """Packed rows as int32 ``(n, ceil(B / 4))``, spare bits 0."""
    width = -(-packed.shape[1] // 4) * 4
    padded = np.zeros((packed.shape[0], width), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    return torch.from_numpy(padded.view(np.int32))
