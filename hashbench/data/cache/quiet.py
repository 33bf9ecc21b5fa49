"""What decoders say of a file to the terminal, unheard: it names no file, and what matters is told.

`warnings.catch_warnings` changes the filters of all threads at once, and files are decoded in many.
The filter here is one of the process, but holds for a thread only while that thread decodes.
Libtiff writes its errors to the terminal itself, before Pillow raises them; Pillow has it write no
warnings, and here it writes no errors either, while a TIFF is decoded.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from PIL import _imaging

_CHANGING: Final = threading.Lock()


class _Decoding(threading.local):
    """Stands where a filter of warnings has a pattern: matches in a thread that decodes."""

    depth = 0

    def match(self, _text: str) -> bool:
        return self.depth > 0


_HERE: Final = _Decoding()
_FILTER: Final = ("ignore", _HERE, Warning, None, 0)


@contextmanager
def warnings_unheard() -> Iterator[None]:
    """Let no warning of this thread be shown, or become an error, whatever others ask for."""
    _stand_first()
    _HERE.depth += 1
    try:
        yield
    finally:
        _HERE.depth -= 1


def _stand_first() -> None:
    """Put the filter before all others, which somebody may have added since."""
    with _CHANGING:
        filters = cast("list[Any]", warnings.filters)
        if filters and filters[0] is _FILTER:
            return
        filters[:] = [_FILTER, *(one for one in filters if one is not _FILTER)]


class _Libtiff:
    """The library that Pillow reads compressed TIFFs with."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._users = 0
        self._before: int | None = None
        self._set: Any = None
        # Elsewhere the library may lie hidden in Pillow's own, and then it is heard.
        with contextlib.suppress(OSError, AttributeError):
            self._set = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
            self._set.argtypes, self._set.restype = [ctypes.c_void_p], ctypes.c_void_p

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """Take its writer of errors away for as long as anybody is in here."""
        if self._set is None:
            yield
            return
        with self._changing:
            self._users += 1
            if self._users == 1:
                self._before = self._set(None)
        try:
            yield
        finally:
            with self._changing:
                self._users -= 1
                if self._users == 0:
                    self._set(self._before)


libtiff: Final = _Libtiff()
