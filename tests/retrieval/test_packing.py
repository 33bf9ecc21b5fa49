"""Packed codes: round trips, the byte layout, and faiss reading them from disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashbench.retrieval import pack_codes, unpack_codes


@pytest.mark.parametrize("bits", [1, 5, 8, 12, 16, 32, 48, 64, 100, 512])
def test_round_trip(bits: int) -> None:
    rng = np.random.default_rng(bits)
    codes = rng.choice(np.array([-1, 1], dtype=np.int8), (777, bits))
    packed = pack_codes(codes.astype(np.float32))
    assert packed.dtype == np.uint8
    assert packed.shape == (777, -(-bits // 8))
    np.testing.assert_array_equal(unpack_codes(packed, bits), codes)
    assert unpack_codes(packed, bits).dtype == np.int8


def test_the_byte_layout() -> None:
    code = -np.ones((1, 12), dtype=int)
    code[0, [0, 3, 9]] = 1
    assert pack_codes(code).tolist() == [[0b00001001, 0b00000010]]


def test_no_codes_pack_to_no_bytes() -> None:
    assert pack_codes(np.ones((0, 12))).shape == (0, 2)


def test_unpacking_refuses_what_was_not_packed_so() -> None:
    packed = pack_codes(np.ones((3, 12)))
    with pytest.raises(ValueError, match="packed: expected uint8 with 3 columns for 17 bits"):
        unpack_codes(packed, 17)
    with pytest.raises(ValueError, match="packed: expected 0 in the spare bits past value 10"):
        unpack_codes(packed, 11)
    with pytest.raises(ValueError, match="packed: expected uint8"):
        unpack_codes(packed.astype(np.int64), 12)


def test_faiss_reads_the_file_as_it_is(tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    rng = np.random.default_rng(0)
    codes = rng.choice(np.array([-1, 1], dtype=np.int8), (500, 48))
    np.save(tmp_path / "codes.npy", pack_codes(codes))
    stored = np.load(tmp_path / "codes.npy", mmap_mode="r")

    index = faiss.IndexBinaryFlat(48)
    index.add(stored)
    distance, neighbour = index.search(pack_codes(codes[:20]), 500)

    wanted = (codes[:20, None, :] != codes[None]).sum(axis=2)
    np.testing.assert_array_equal(np.take_along_axis(wanted, neighbour, axis=1), distance)
    np.testing.assert_array_equal(np.sort(wanted, axis=1), distance)

    theirs = np.empty(500 * 6, dtype=np.uint8)
    real = np.ascontiguousarray(codes, dtype=np.float32)
    faiss.real_to_binary(real.size, faiss.swig_ptr(real), faiss.swig_ptr(theirs))
    np.testing.assert_array_equal(stored, theirs.reshape(500, 6))
