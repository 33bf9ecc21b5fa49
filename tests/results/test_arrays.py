"""Arrays of an .npz file: what numpy writes is read, and nothing else is inflated."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from hashbench.errors import FileError
from hashbench.results.arrays import Array, largest_file, read_all_arrays, read_arrays

NUMBERS = st.one_of(
    arrays_of.boolean_dtypes(),
    arrays_of.integer_dtypes(),
    arrays_of.unsigned_integer_dtypes(),
    arrays_of.floating_dtypes(),
)


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


@given(arrays_of.arrays(NUMBERS, arrays_of.array_shapes(min_dims=0, max_dims=3)), st.booleans())
def test_arrays_come_back_as_they_were(array: np.ndarray[Any, Any], turned: bool) -> None:
    array = array.T if turned else array
    content = npz(one=array, two=np.zeros(3))
    kind = array.dtype.newbyteorder("=").str[1:]
    wanted = {"one": Array(kind, array.shape)}
    assert len(content) <= largest_file(wanted | {"two": Array("f8", (3,))})
    for found in (read_arrays(content, wanted)["one"], read_all_arrays(content, 10**6)["one"]):
        assert found.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, array)
        found[...] = 0  # it may be changed


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_harmless(place: int, mask: int) -> None:
    whole = npz(one=np.arange(8.0))
    content = bytearray(whole)
    content[place % len(content)] ^= mask
    try:
        found = read_arrays(bytes(content), {"one": Array("f8", (8,))})
    except FileError:
        return
    np.testing.assert_array_equal(found["one"], np.arange(8.0))


def test_a_member_of_another_size_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that is larger than wanted, nor one that would not fit."""
    content = npz(one=np.zeros(10**6))

    def opened(*_arguments: Any) -> Any:
        raise AssertionError("a member was opened")

    monkeypatch.setattr(zipfile.ZipFile, "open", opened)
    with pytest.raises(FileError, match="of another size"):
        read_arrays(content, {"one": Array("f8", (8,))})
    with pytest.raises(FileError, match=r"more than 1,000 bytes"):
        read_all_arrays(content, 1_000)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(8, "f4"), "is float32"),
        (np.zeros(8, "i8"), "is int64"),
        (np.zeros((2, 4)), r"\(2, 4\), expected float64 \(8,\)"),
        (np.zeros(8, "M8[s]"), "of a type that is not read"),
        (np.zeros(8, "S8"), "of a type that is not read"),
    ],
)
def test_an_array_of_another_type_or_shape_is_refused(array: Any, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        read_arrays(npz(one=array), {"one": Array("f8", (8,))})


@pytest.mark.parametrize("kind", [b"<f3", b"|b9", b"<u0", b"<f1", b"<i3"])
def test_a_type_that_numpy_does_not_have_is_refused(kind: bytes) -> None:
    """As a stranger writes it, with a sum that holds."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(8))
    member = buffer.getvalue().replace(b"<f8", kind)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("one.npy", member)
    with pytest.raises(FileError, match="of a type that is not read"):
        read_arrays(packed.getvalue(), {"one": Array("f8", (8,))})


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_way_to_pack_that_numpy_does_not_write_is_refused(method: int) -> None:
    """The errors and the memory of the other decompressors are their own."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(8))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as file:
        file.writestr("one.npy", buffer.getvalue())
    content = packed.getvalue()
    with pytest.raises(FileError, match="packed in a way that numpy does not write"):
        read_arrays(content, {"one": Array("f8", (8,))})
    with pytest.raises(FileError, match="packed in a way that numpy does not write"):
        read_all_arrays(content, 10**6)


def test_an_array_that_is_missing_is_refused() -> None:
    with pytest.raises(FileError, match="it lacks the array 'two'"):
        read_arrays(npz(one=np.zeros(8)), {"two": Array("f8", (8,))})
