"""idx files: read as written, and every damage is told of with the file's name."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hashbench.data.garments import idx as room
from hashbench.data.garments.idx import read_content, read_idx
from hashbench.data.garments.idx_folder import read_idx_folder
from hashbench.errors import UsageError

WriteIdx = Callable[..., Path]

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)),
    packed=st.booleans(),
)
def test_read_what_was_written(
    tmp_path: Path, write_idx: WriteIdx, array: NDArray[np.uint8], packed: bool
) -> None:
    found = read_idx(write_idx(tmp_path, "file", array, packed), array.ndim)
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


def test_plain_and_gzipped_folders_are_the_same(small: Path) -> None:
    plain = read_idx_folder(small)
    assert len(plain.train) == 120
    assert len(plain.test) == 60
    for path in list(small.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = read_idx_folder(small)
    for half in ("train", "test"):
        one, other = getattr(plain, half), getattr(packed, half)
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.labels, other.labels)


def cut(content: bytes) -> bytes:
    return content[:-1]


def cut_in_header(content: bytes) -> bytes:
    return content[:11]


def empty(content: bytes) -> bytes:
    return content[:0]


def lengthen(content: bytes) -> bytes:
    return content + b"\0"


def signed(content: bytes) -> bytes:
    return b"\0\0\x09" + content[3:]


def one_dimension_more(content: bytes) -> bytes:
    return content[:3] + bytes((content[3] + 1,)) + content[4:]


def text(content: bytes) -> bytes:
    return b"<html>not found</html>".ljust(len(content))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "truncated"),
        (cut_in_header, "truncated|starts with"),
        (empty, "truncated"),
        (lengthen, "too long"),
        (signed, "starts with"),
        (one_dimension_more, "starts with"),
        (text, "starts with"),
    ],
)
@pytest.mark.parametrize("name", [IMAGES, LABELS])
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_named(
    small: Path, name: str, damage: Callable[[bytes], bytes], says: str, packed: bool
) -> None:
    path = small / name
    content = damage(path.read_bytes())
    if packed:
        path.unlink()
        path = small / f"{name}.gz"
        content = gzip.compress(content)
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        read_idx_folder(small)
    assert str(path) in str(caught.value)


def garbage(content: bytes) -> bytes:
    return b"garbage" + content


def cut_gzip(content: bytes) -> bytes:
    return gzip.compress(content)[:-20]


def wrong_checksum(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content))
    packed[-8] ^= 1
    return bytes(packed)


def wrong_stream(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content))
    packed[10] = 0xFF
    return bytes(packed)


@pytest.mark.parametrize("damage", [garbage, cut_gzip, wrong_checksum, wrong_stream, empty])
def test_damaged_gzip_is_named(small: Path, damage: Callable[[bytes], bytes]) -> None:
    path = small / f"{IMAGES}.gz"
    path.write_bytes(damage((small / IMAGES).read_bytes()))
    (small / IMAGES).unlink()
    with pytest.raises(UsageError, match=r"damaged gzip|truncated") as caught:
        read_idx_folder(small)
    assert str(path) in str(caught.value)


def test_a_huge_header_is_no_allocation(small: Path) -> None:
    (small / IMAGES).write_bytes(bytes((0, 0, 8, 3)) + b"\xff" * 12)
    with pytest.raises(UsageError, match="truncated, its header states 4294967295 x"):
        read_idx_folder(small)


def test_counts_must_match(small: Path, write_idx: WriteIdx) -> None:
    write_idx(small, LABELS, np.zeros(59, np.uint8))
    with pytest.raises(UsageError, match=r"59 labels, but .* has 60 images") as caught:
        read_idx_folder(small)
    assert str(small / LABELS) in str(caught.value)


def test_labels_must_be_known(small: Path, write_idx: WriteIdx) -> None:
    write_idx(small, LABELS, np.full(60, 10, np.uint8))
    with pytest.raises(UsageError, match="from 0 to 9, found 10") as caught:
        read_idx_folder(small)
    assert str(small / LABELS) in str(caught.value)


def test_images_must_have_the_size(small: Path, write_idx: WriteIdx) -> None:
    write_idx(small, IMAGES, np.zeros((60, 28, 27), np.uint8))
    with pytest.raises(UsageError, match="28x28, found 28x27") as caught:
        read_idx_folder(small)
    assert str(small / IMAGES) in str(caught.value)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_a_missing_file_is_named(small: Path, name: str) -> None:
    (small / name).unlink()
    with pytest.raises(UsageError, match="no such file") as caught:
        read_idx_folder(small)
    assert str(small / name) in str(caught.value)


def test_a_folder_in_place_of_a_file_is_a_missing_file(small: Path) -> None:
    (small / IMAGES).unlink()
    (small / IMAGES).mkdir()
    with pytest.raises(UsageError, match="no such file"):
        read_idx_folder(small)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder") as caught:
        read_idx_folder(tmp_path / "absent")
    assert str(tmp_path / "absent") in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzip.compress(bytes(401)), "it unpacks to more than 400 bytes"),
        (
            gzip.compress(bytes(300)) + gzip.compress(bytes(101)),
            "it unpacks to more than 400 bytes",
        ),
        (gzip.compress(b"") * 17, "it holds more than 16 gzip files in one"),
        (gzip.compress(bytes(50))[:-1], "damaged gzip file"),
        (gzip.compress(bytes(50)) + b"rest", "damaged gzip file"),
    ],
    # By name: the time of packing lies in the bytes, and every worker collects for itself.
    ids=["larger", "larger together", "many", "cut off", "a rest"],
)
def test_no_more_is_unpacked_than_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, says: str
) -> None:
    monkeypatch.setattr(room, "MAX_BYTES", 400)
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_content(path)
    assert str(caught.value).startswith(f"{path}: {says}")


def test_gzip_files_one_after_the_other_are_read_as_the_library_does(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    for content in (b"", b"abc", bytes(1000)):
        whole = gzip.compress(content) + gzip.compress(b"more") + bytes(5)
        path.write_bytes(whole)
        assert read_content(path) == gzip.decompress(whole) == content + b"more"


def test_a_header_of_no_data_and_huge_sides_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">IIII", 0x803, 2**32 - 1, 0, 2**32 - 1))
    with pytest.raises(UsageError, match="its header states 4294967295 x 0 x 4294967295, which no"):
        read_idx(path, 3)
