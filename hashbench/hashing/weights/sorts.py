"""What a file is that should hold weights: told from its first bytes, never by its name."""

from __future__ import annotations

import codecs
import io
import pickletools
import re
from typing import Final

LOOKED_AT: Final = 2**16
"""Bytes that are looked at."""

_FETCH: Final = "a login or error page that was saved in its place? Fetch the file again"

_BEGINNINGS: Final = (
    (
        b"version https://git-lfs",
        "a pointer of git-lfs, not the file: fetch it with 'git lfs pull'",
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras?)"),
    (b"\x93NUMPY", "an array of numpy"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "packed by gzip: unpack it"),
    (b"BZh", "packed by bzip2: unpack it"),
    (b"\xfd7zXZ\x00", "packed by xz: unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"\x7fELF", "a program"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)

_PAGE = re.compile(rb"<(!doctype\s+html|html|head|body|\?xml)\b", re.IGNORECASE)
_UNPRINTED = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_TAR = (257, b"ustar")


def sort_of(head: bytes, size: int) -> str:
    """What a file is, as a clause goes on after "it is"; empty where it cannot be told.

    Args:
        head: its first `LOOKED_AT` bytes.
        size: how many there are in all.
    """
    if not size:
        return "empty"
    for beginning, name in _BEGINNINGS:
        if head.startswith(beginning):
            return name
    if head[_TAR[0] :].startswith(_TAR[1]):
        return "a tar archive, as torch wrote before version 0.2, or a packed folder: unpack it"
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive"
    if is_safetensors(head, size):
        return "a safetensors file: give it the ending .safetensors"
    if _PAGE.search(head[:1024]):
        return f"an HTML or XML page ({_FETCH})"
    if _is_pickle(head, size):
        return "a pickle that torch.save did not write"
    if not head.strip(b"\0"):
        return "nothing but zeros (a download that did not finish?)"
    if _is_text(head):
        return f"text ({_FETCH})"
    return ""


def is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file begins with a length that fits and a table in JSON."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= max(0, size - 8)


def is_pickled(head: bytes) -> bool:
    """Whether a file begins as pickles of protocol 2 and later do."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def _is_pickle(head: bytes, size: int) -> bool:
    """Whether it is a pickle of any protocol; of those before 2 only a short one is known."""
    if is_pickled(head):
        return True
    if size > len(head):
        return False
    try:
        return sum(1 for _ in pickletools.genops(io.BytesIO(head))) > 1
    except (ValueError, LookupError):
        return False


def _is_text(head: bytes) -> bool:
    text = head[:1024]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text, final=False)
    except UnicodeDecodeError:
        return False
    return not _UNPRINTED.search(text)
