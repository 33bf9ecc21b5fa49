"""The counting loop as machine code, where the optional package numba is installed.

One fused pass instead of four numpy calls. The counts are those of `kernel.count_keys`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np

from hashbench.errors import UsageError
from hashbench.retrieval.checks import Array
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.kernel import Queries, count_keys, group_masks, tiles
from hashbench.retrieval.options import Kernel
from hashbench.retrieval.packing import Bytes

# Pairs that the compiled loop must save half a nanosecond each on to win back its compile time.
_WORTH_COMPILING: Final = 1 << 32


def counter(kernel: Kernel, pairs: int) -> Callable[[Queries, Bytes, Bytes, Ints], None]:
    """The function that does what `kernel.count_keys` says, for so many pairs.

    Raises UsageError for ``COMPILED`` where numba is not installed.
    """
    if kernel is Kernel.NUMPY or (kernel is Kernel.AUTO and pairs < _WORTH_COMPILING):
        return count_keys
    if importlib.util.find_spec("numba") is not None:
        return count_keys_compiled
    if kernel is Kernel.AUTO:
        return count_keys
    raise UsageError(
        "kernel: 'compiled' needs the package numba; install hashbench[fast], or use 'numpy'"
    )


def count_keys_compiled(queries: Queries, codes: Bytes, labels: Bytes, out: Ints) -> None:
    """As `kernel.count_keys`."""
    count = _compile()
    asked = _word_matrix(queries.packed)
    for tile in tiles(queries, codes.shape[0]):
        words = _word_matrix(codes[tile])
        keys = np.empty(words.shape[1], dtype=queries.key_type)
        for group, mask in group_masks(queries, labels[tile]):
            count(words, asked, group.members, mask, keys, out)


def _word_matrix(packed: Bytes) -> Array:
    """Machine words ``(W, n)``: one of 32 bits where that is enough, else of 64 bits each."""
    size = 4 if packed.shape[1] <= 4 else 8
    columns = -(-packed.shape[1] // size) * size
    padded = packed
    if columns != packed.shape[1]:
        padded = np.zeros((packed.shape[0], columns), dtype=np.uint8)
        padded[:, : packed.shape[1]] = packed
    words: Array = np.ascontiguousarray(padded).view(np.dtype(f"u{size}"))
    return np.ascontiguousarray(words.T)


@cache
def _compile() -> Callable[[Array, Array, Ints, Array, Array, Ints], None]:
    numba: Any = importlib.import_module("numba")
    extending: Any = importlib.import_module("numba.extending")

    @extending.intrinsic  # type: ignore[untyped-decorator]
    def ones(_context: Any, word: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.ctpop(arguments[0])

        return word(word), generate

    @numba.njit(nogil=True)  # type: ignore[untyped-decorator]
    def count(
        words: Array, asked: Array, members: Ints, mask: Array, keys: Array, out: Ints
    ) -> None:
        items = words.shape[1]
        even = items // 4 * 4
        # Four histograms: neighbours at the same distance do not wait for each other's sum.
        part = np.zeros((4, out.shape[1]), np.int64)
        for query in members:
            for item in range(items):
                keys[item] = ones(words[0, item] ^ asked[0, query]) + mask[item]
            for word in range(1, words.shape[0]):
                for item in range(items):
                    keys[item] += ones(words[word, item] ^ asked[word, query])
            part[:] = 0
            for item in range(0, even, 4):
                part[0, keys[item]] += 1
                part[1, keys[item + 1]] += 1
                part[2, keys[item + 2]] += 1
                part[3, keys[item + 3]] += 1
            for item in range(even, items):
                part[0, keys[item]] += 1
            for key in range(out.shape[1]):
                out[query, key] += part[0, key] + part[1, key] + part[2, key] + part[3, key]

    compiled: Callable[[Array, Array, Ints, Array, Array, Ints], None] = count
    return compiled
