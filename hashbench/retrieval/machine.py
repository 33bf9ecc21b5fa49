"""The counting loop as machine code: items side by side in the bits of vector registers.

One register holds one bit of 512 items, so that a full adder of two instructions adds 512 numbers
at a time ("vertical counters"; the adders in a tree are those of Harley and Seal, described in
Warren, *Hacker's Delight*, 2nd ed., section 5-1). A distance is then spread over a few registers,
and the items at one distance are the set bits of what these have in common: no histogram in memory,
whose additions wait for each other, and no key per item.

Imports numba, and is itself imported only where that is installed and asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import numpy as np

from hashbench.retrieval.checks import Array
from hashbench.retrieval.harmonic import Ints

ir: Any = import_module("llvmlite.ir")
models: Any = import_module("numba.core.datamodel")
cgutils: Any = import_module("numba.core.cgutils")
types: Any = import_module("numba.core.types")
_intrinsic: Callable[..., Any] = import_module("numba.extending").intrinsic
_compiled: Callable[..., Any] = import_module("numba").njit(nogil=True)

LANES: Final = 8
"""Words of 64 bits that are worked on at once; a processor with shorter registers uses several."""

# Words of each row that a query passes over at a time: rows of sums stay in a first-level cache.
_BLOCK_WORDS: Final = 256
# Distances are told apart by their three lowest bits at once.
_LOW_BITS: Final = 3


class _Lanes(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name=f"uint64x{LANES}")


_LANES = _Lanes()
_VECTOR = ir.VectorType(ir.IntType(64), LANES)


@models.register_default(_Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _operation(name: str) -> Any:
    @_intrinsic
    def operation(_context: Any, _first: Any, _second: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*arguments)

        return _LANES(_LANES, _LANES), generate

    return operation


_xor, _and, _or, _plus = (_operation(name) for name in ("xor", "and_", "or_", "add"))


@_intrinsic
def _ones(_context: Any, _vector: Any) -> Any:
    """The number of set bits in each lane."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        name = f"llvm.ctpop.v{LANES}i64"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)

    return _LANES(_LANES), generate


@_intrinsic
def _sum(_context: Any, _vector: Any) -> Any:
    """The sum over the lanes."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [_VECTOR])
        name = f"llvm.vector.reduce.add.v{LANES}i64"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)

    return types.int64(_LANES), generate


@_intrinsic
def _spread(_context: Any, _word: Any) -> Any:
    """A word in each lane."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        one = builder.insert_element(
            ir.Constant(_VECTOR, ir.Undefined), arguments[0], ir.Constant(ir.IntType(32), 0)
        )
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, one, lanes)

    return _LANES(types.uint64), generate


def _place(context: Any, builder: Any, kind: Any, arguments: Any) -> Any:
    data = context.make_array(kind)(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), _VECTOR.as_pointer())


@_intrinsic
def _load(_context: Any, array: Any, _index: Any) -> Any:
    """``LANES`` words of a flat array from an index on."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, array, arguments), align=8)

    return _LANES(array, types.intp), generate


@_intrinsic
def _store(_context: Any, array: Any, _index: Any, _vector: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, array, arguments), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, _LANES), generate


@_compiled
def _parity(a: Any, b: Any, c: Any) -> Any:
    return _xor(_xor(a, b), c)


@_compiled
def _majority(a: Any, b: Any, c: Any) -> Any:
    return _or(_and(a, b), _and(_or(a, b), c))


@_compiled
def _add_up(planes: Array, stride: int, start: int, words: int, turned: Array, sums: Array) -> None:
    """Write the bits of all distances: ``sums[p * _BLOCK_WORDS + w]`` has those worth ``2^p``.

    Args:
        planes: the codes' bits, rows of ``stride`` words behind each other, eight by eight.
        stride: words of a row.
        start: the first word.
        words: how many.
        turned: the query's bits, each all over a word.
        sums: ``(P * _BLOCK_WORDS,)``.
    """
    rows = sums.size // _BLOCK_WORDS
    zero = _spread(np.uint64(0))
    for w in range(0, words, LANES):
        one, two, four = zero, zero, zero
        for p in range(_LOW_BITS, rows):
            _store(sums, p * _BLOCK_WORDS + w, zero)
        for k in range(0, turned.size, 8):
            at = k * stride + start + w
            a = _xor(_load(planes, at), _spread(turned[k]))
            b = _xor(_load(planes, at + stride), _spread(turned[k + 1]))
            c = _xor(_load(planes, at + 2 * stride), _spread(turned[k + 2]))
            d = _xor(_load(planes, at + 3 * stride), _spread(turned[k + 3]))
            e = _xor(_load(planes, at + 4 * stride), _spread(turned[k + 4]))
            f = _xor(_load(planes, at + 5 * stride), _spread(turned[k + 5]))
            g = _xor(_load(planes, at + 6 * stride), _spread(turned[k + 6]))
            h = _xor(_load(planes, at + 7 * stride), _spread(turned[k + 7]))
            two_a, one = _majority(one, a, b), _parity(one, a, b)
            two_b, one = _majority(one, c, d), _parity(one, c, d)
            four_a, two = _majority(two, two_a, two_b), _parity(two, two_a, two_b)
            two_a, one = _majority(one, e, f), _parity(one, e, f)
            two_b, one = _majority(one, g, h), _parity(one, g, h)
            four_b, two = _majority(two, two_a, two_b), _parity(two, two_a, two_b)
            carry, four = _majority(four, four_a, four_b), _parity(four, four_a, four_b)
            for p in range(_LOW_BITS, rows):
                place = p * _BLOCK_WORDS + w
                before = _load(sums, place)
                _store(sums, place, _xor(before, carry))
                carry = _and(before, carry)
        _store(sums, w, one)
        _store(sums, _BLOCK_WORDS + w, two)
        _store(sums, 2 * _BLOCK_WORDS + w, four)


@_compiled
def _choose(sums: Array, words: int, high: int, chosen: Array) -> bool:
    """Set the bits of the items whose distance is ``8 * high`` to ``8 * high + 7``, if any."""
    rows = sums.size // _BLOCK_WORDS
    found = _spread(np.uint64(0))
    every = np.uint64(0xFFFFFFFFFFFFFFFF)
    for w in range(0, words, LANES):
        these = _spread(every)
        for p in range(_LOW_BITS, rows):
            wrong = np.uint64(0) if (high >> (p - _LOW_BITS)) & 1 else every
            these = _and(these, _xor(_load(sums, p * _BLOCK_WORDS + w), _spread(wrong)))
        _store(chosen, w, these)
        found = _or(found, these)
    return bool(_sum(_ones(found)) != 0)


@_compiled
def _tell_apart(sums: Array, words: int, chosen: Array, relevant: Array, counts: Array) -> None:
    """Count the chosen items by the three lowest bits of their distance: all, then relevant."""
    zero = _spread(np.uint64(0))
    every = _spread(np.uint64(0xFFFFFFFFFFFFFFFF))
    all0, all1, all2, all3 = zero, zero, zero, zero
    all4, all5, all6, all7 = zero, zero, zero, zero
    rel0, rel1, rel2, rel3 = zero, zero, zero, zero
    rel4, rel5, rel6, rel7 = zero, zero, zero, zero
    for w in range(0, words, LANES):
        these, shared = _load(chosen, w), _load(relevant, w)
        one, two, four = (
            _load(sums, w),
            _load(sums, _BLOCK_WORDS + w),
            _load(sums, 2 * _BLOCK_WORDS + w),
        )
        even = _xor(one, every)
        far = _and(these, four)
        near = _xor(these, far)
        near2, far2 = _and(near, two), _and(far, two)
        near0, far0 = _xor(near, near2), _xor(far, far2)
        bits = _and(near0, even)
        all0, rel0 = _plus(all0, _ones(bits)), _plus(rel0, _ones(_and(bits, shared)))
        bits = _and(near0, one)
        all1, rel1 = _plus(all1, _ones(bits)), _plus(rel1, _ones(_and(bits, shared)))
        bits = _and(near2, even)
        all2, rel2 = _plus(all2, _ones(bits)), _plus(rel2, _ones(_and(bits, shared)))
        bits = _and(near2, one)
        all3, rel3 = _plus(all3, _ones(bits)), _plus(rel3, _ones(_and(bits, shared)))
        bits = _and(far0, even)
        all4, rel4 = _plus(all4, _ones(bits)), _plus(rel4, _ones(_and(bits, shared)))
        bits = _and(far0, one)
        all5, rel5 = _plus(all5, _ones(bits)), _plus(rel5, _ones(_and(bits, shared)))
        bits = _and(far2, even)
        all6, rel6 = _plus(all6, _ones(bits)), _plus(rel6, _ones(_and(bits, shared)))
        bits = _and(far2, one)
        all7, rel7 = _plus(all7, _ones(bits)), _plus(rel7, _ones(_and(bits, shared)))
    counts[0], counts[8] = _sum(all0), _sum(rel0)
    counts[1], counts[9] = _sum(all1), _sum(rel1)
    counts[2], counts[10] = _sum(all2), _sum(rel2)
    counts[3], counts[11] = _sum(all3), _sum(rel3)
    counts[4], counts[12] = _sum(all4), _sum(rel4)
    counts[5], counts[13] = _sum(all5), _sum(rel5)
    counts[6], counts[14] = _sum(all6), _sum(rel6)
    counts[7], counts[15] = _sum(all7), _sum(rel7)


@_compiled
def _merge(
    masks: Array, stride: int, start: int, words: int, classes: Ints, relevant: Array
) -> None:
    """Set the bits of the items that have any of some classes."""
    for w in range(0, words, LANES):
        shared = _spread(np.uint64(0))
        for label in classes:
            shared = _or(shared, _load(masks, label * stride + start + w))
        _store(relevant, w, shared)


@_compiled
def count(
    planes: Array,
    masks: Array,
    stride: int,
    turned: Array,
    members: Ints,
    member_edges: Ints,
    classes: Ints,
    class_edges: Ints,
    bits: int,
    out: Ints,
) -> None:
    """Add up how often each query meets each distance, as `kernel.count_keys` does.

    Args:
        planes: uint64, the codes' bits: rows of ``stride`` words behind each other, as many as a
            multiple of eight that holds K.
        masks: uint64, a row of ``stride`` words for each used class.
        stride: words of a row, a multiple of ``LANES``; spare items have code 0 and no class.
        turned: uint64 ``(Q, rows of planes)``, the queries' bits: 0 or all ones.
        members: queries, group by group.
        member_edges: where each group's members begin, and the end.
        classes: rows of ``masks``, group by group.
        class_edges: where each group's classes begin, and the end.
        bits: K.
        out: int64 ``(Q, 2 * (K + 1))``.
    """
    width = 1
    while bits >> width:
        width += 1
    sums = np.zeros(max(_LOW_BITS + 1, width) * _BLOCK_WORDS, np.uint64)
    chosen = np.zeros(_BLOCK_WORDS, np.uint64)
    relevant = np.zeros(_BLOCK_WORDS, np.uint64)
    counts = np.zeros(16, np.int64)
    for start in range(0, stride, _BLOCK_WORDS):
        words = min(_BLOCK_WORDS, stride - start)
        for group in range(member_edges.size - 1):
            own = classes[class_edges[group] : class_edges[group + 1]]
            _merge(masks, stride, start, words, own, relevant)
            for query in members[member_edges[group] : member_edges[group + 1]]:
                _add_up(planes, stride, start, words, turned[query], sums)
                for high in range(bits // 8 + 1):
                    if _choose(sums, words, high, chosen):
                        _tell_apart(sums, words, chosen, relevant, counts)
                        for low in range(min(8, bits + 1 - 8 * high)):
                            distance = 8 * high + low
                            out[query, distance] += counts[low] - counts[8 + low]
                            out[query, bits + 1 + distance] += counts[8 + low]
