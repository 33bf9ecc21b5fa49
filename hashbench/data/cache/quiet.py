"""Pillow's warnings, unheard while files are decoded: they name no file, and what matters is told.

`warnings.catch_warnings` changes the filters of all threads at once, and files are decoded in many.
The filter here is one of the process, but holds for a thread only while that thread decodes.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

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
