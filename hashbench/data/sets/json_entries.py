"""The entries of a large JSON file one after the other, so that it never lies in memory whole."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from json import JSONDecodeError
from typing import Any, BinaryIO, Final

from hashbench.errors import FileError

MAX_ENTRY: Final = 1 << 22
"""Most characters of one entry: an outline of MS-COCO takes some hundred thousand at most."""

_BLOCK: Final = 1 << 20
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


def json_entries(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Walk through a JSON file that holds one table, most of whose values are lists.

    Args:
        file: open for reading, in UTF-8, with or without a byte order mark.

    Yields:
        The name of a list and one of its entries, in the file's order; what is no list is passed
        over.

    Raises:
        FileError: it is no such file, or an entry is larger than `MAX_ENTRY`.
    """
    text = _Text(file)
    text.expect("{")
    if text.next() == "}":
        return
    while True:
        name = text.value()
        if not isinstance(name, str):
            raise FileError("it is no JSON (a name is no text)")
        text.expect(":")
        if text.next() == "[":
            text.expect("[")
            if text.next() == "]":
                text.expect("]")
            else:
                while True:
                    yield name, text.value()
                    if text.expect(",]") == "]":
                        break
        else:
            text.value()
        if text.expect(",}") == "}":
            return


class _Text:
    """What was read of a file and is not yet used."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._place = 0
        self._whole = False

    def next(self) -> str:
        """The next character that is no blank, which stays; empty at the end."""
        while True:
            if (here := self._text[self._place : self._place + 1]) > " ":
                return here
            blanks = _BLANKS.match(self._text, self._place)
            self._place = blanks.end() if blanks else self._place
            if self._place < len(self._text):
                return self._text[self._place]
            if self._whole:
                return ""
            self._fill()

    def expect(self, characters: str) -> str:
        """Take the next character, which must be one of these."""
        found = self.next()
        if not found or found not in characters:
            raise FileError(
                f"it is no JSON of this kind (expected {' or '.join(characters)}, found "
                f"{found or 'the end of the file'!r})"
            )
        self._place += 1
        return found

    def value(self) -> Any:
        """Take a whole value."""
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._place)
            except JSONDecodeError:  # or it is not read whole yet
                if self._whole:
                    raise FileError("it is no JSON") from None
            except ValueError:  # what Python refuses to turn into a number
                raise FileError("it holds a number of too many digits") from None
            except RecursionError:
                raise FileError("its lists or tables are nested too deep") from None
            else:
                # A number may go on in what is not read yet: `1e+` is a 1 so far.
                if end + len("e+1") <= len(self._text) or self._whole:
                    self._place = end
                    return value
            if len(self._text) - self._place > MAX_ENTRY:
                raise FileError(f"an entry has more than {MAX_ENTRY:,} characters, or is no JSON")
            self._fill()

    def _fill(self) -> None:
        left = self._text[self._place :]
        block = self._file.read(max(_BLOCK, len(left)))
        try:
            self._text = left + self._decoder.decode(block, final=not block)
        except UnicodeDecodeError:
            raise FileError("it is not in UTF-8") from None
        self._place, self._whole = 0, not block
