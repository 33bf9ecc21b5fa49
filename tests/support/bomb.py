"""An object whose pickle is code: for proofs that a reader does not unpickle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class Bomb:
    """Makes a folder, the mark, where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)
