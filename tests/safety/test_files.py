"""What is read of a stranger's file: regular files alone, bounded, in UTF-8."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from hashbench import files
from hashbench.errors import FileError


def test_a_file_of_exactly_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcd")
    assert files.read_bytes(path, 4) == b"abcd"
    with pytest.raises(FileError, match="it has 4 bytes, expected at most 3"):
        files.read_bytes(path, 3)


def test_no_more_memory_is_taken_than_the_file_has_bytes(tmp_path: Path) -> None:
    """A limit of 8 GiB is a limit, not a size: with less memory a small file is still read."""
    path = tmp_path / "file"
    path.write_bytes(b"a" * 1000)
    tracemalloc.start()
    try:
        assert files.read_bytes(path, 2**33) == b"a" * 1000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="a system without /proc")
def test_a_file_that_says_no_size_is_read_whole_and_bounded() -> None:
    path = Path("/proc/self/environ")
    assert path.stat().st_size == 0
    content = path.read_bytes()
    assert files.read_bytes(path, len(content)) == content
    with pytest.raises(FileError, match=f"expected at most {len(content) - 1:,}"):
        files.read_bytes(path, len(content) - 1)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to("/dev/zero")
    for path, what in (
        (pipe, "a named pipe"),
        (tmp_path / "link", "a device"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(FileError, match=what):
            files.read_bytes(path, 10)


def test_a_link_is_followed_where_it_may_be(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"abcd")
    link.symlink_to(path)
    digest = hashlib.sha256(b"abcd").hexdigest()
    assert files.read_bytes(link, 4) == b"abcd"
    assert files.sha256_of_file(link, 4) == files.sha256_of_file(path, 4, links=False) == digest
    for read in (files.read_bytes, files.sha256_of_file):
        with pytest.raises(FileError, match="it is a link"):
            read(link, 4, links=False)
        with pytest.raises(FileError, match="it has 4 bytes, expected at most 3"):
            read(path, 3)


def test_a_name_with_a_nul_is_refused_as_a_file_is() -> None:
    with pytest.raises(FileError, match="its name"):
        files.read_bytes(Path("a\0b"), 10)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfa = 1", b"a = 1"])
def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    assert files.read_text(path, 100) == "a = 1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a".encode("utf-16"), "UTF-16"),
        (b"one\ntwo \xff", r"not in UTF-8 \(line 2\)"),
        (b"{,}", "it is no JSON"),
        (b"", "it is no JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"[" + b"1" * 5_000 + b"]", "too many digits"),
        (b'["\\ud800"]', "half a surrogate pair"),
        (b"[" + b"[]," * files.MAX_JSON_VALUES + b"[]]", "more than 1,000,000 values"),
    ],
)
def test_json_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        files.parsed_json(content)


def test_json_is_read_as_the_library_does() -> None:
    value = {"a": [1, 2.5, None, True, "😀"], "b": {}}
    assert files.parsed_json(json.dumps(value).encode()) == value
