"""A folder that is none of a test's business: afterwards it is what it was, and was not opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

_watched: list[str] = []
_opened: list[str] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Note every file that Python opens, lists, renames or removes below a watched folder."""
    if _watched and event in ("open", "os.listdir", "os.scandir", "os.remove", "os.rename"):
        for one in arguments[:2]:
            if isinstance(one, str | bytes | os.PathLike):
                path = os.path.realpath(os.fsdecode(one))
                _opened.extend(path for base in _watched if path.startswith(base + "/"))


sys.addaudithook(_hear)  # which cannot be taken away: it does nothing while nothing is watched


@contextmanager
def opened_below(folder: Path) -> Iterator[list[str]]:
    """Everything below a folder that is opened, listed, renamed or removed inside."""
    _opened.clear()
    _watched.append(os.path.realpath(folder))
    try:
        yield _opened
    finally:
        _watched.clear()


@dataclass(frozen=True)
class Outside:
    """A folder beside a root.

    Attributes:
        folder: with a PNG, a text and a class folder in it.
    """

    folder: Path

    def state(self) -> dict[str, tuple[int, bytes]]:
        """When each thing in it was changed, and what is in it."""
        return {
            str(path.relative_to(self.folder)): (
                path.lstat().st_mtime_ns,
                path.read_bytes() if path.is_file() else b"",
            )
            for path in sorted(self.folder.rglob("*"))
        }


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    """Held at the end: nothing in it was changed, made or deleted."""
    one = Outside(tmp_path / "outside")
    for name in ("canary.png", "cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"):
        picture(one.folder / name, 200)
    (one.folder / "canary.txt").write_text("mine\n")
    before = one.state()
    yield one
    assert one.state() == before


@pytest.fixture
def unread(outside: Outside) -> Iterator[Outside]:
    """Held at the end as well: nothing in it was opened."""
    with opened_below(outside.folder) as opened:
        yield outside
    assert not opened


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that are decoded are kept in a folder of the test's own."""
    monkeypatch.setenv("HASHBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def picture(path: Path, value: int) -> None:
    """A PNG of 6 x 6 pixels of one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 6, 3), value, np.uint8)).save(path)


def write(root: Path, **contents: str) -> None:
    """Texts below a folder, by their paths in it."""
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="")
