"""The cache of decoded images: no name and no link in it leads to what lies elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hashbench.data.cache.entries import entry_folder
from hashbench.data.cache.index import INDEX
from hashbench.data.cache.verify import CacheCheck, verify_cache
from hashbench.data.sets.any_lists import Lists
from hashbench.errors import StoreError
from hashbench.progress import no_progress
from support.outside import Outside, picture, write

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for n in range(4):
        picture(root / f"{n}.png", n)
    write(
        root,
        **{
            "train.txt": "0.png 1 0\n1.png 0 1\n",
            "test.txt": "2.png 1 0\n3.png 0 1\n",
            "database.txt": "0.png 1 0\n1.png 0 1\n",
        },
    )
    return root


DATASET = Lists(crop=6)


def entry_of(root: Path) -> Path:
    return entry_folder(DATASET.image_files(DATASET.listing(root)))


def rename_pixels(index: Path, name: str) -> None:
    """Let an index name another file of pixels."""
    with np.load(index) as arrays:
        contents = dict(arrays)
    card = json.loads(str(contents["card"]))
    card["pixels"] = {"name": name, "sha256": "0" * 64}
    np.savez(index, **{**contents, "card": np.array(json.dumps(card))})


@pytest.mark.parametrize("absolute", [False, True])
def test_an_index_names_no_pixels_elsewhere(absolute: bool, listed: Path, tmp_path: Path) -> None:
    """They would be shown as images, and deleted, since their sum is another one."""
    before = DATASET.load(listed).database.images[:]
    entry, canary = entry_of(listed), tmp_path / "pixels-0123456789abcdef.npy"
    np.save(canary, np.full((4, 3, 6, 6), 99, np.uint8))
    content, changed = canary.read_bytes(), canary.stat().st_mtime_ns
    rename_pixels(entry / INDEX, str(canary) if absolute else os.path.relpath(canary, entry))
    checked = verify_cache(DATASET.image_files(DATASET.listing(listed)), no_progress)
    assert checked == CacheCheck(0, (), False)
    assert np.array_equal(DATASET.load(listed).database.images[:], before)
    assert (canary.read_bytes(), canary.stat().st_mtime_ns) == (content, changed)


def test_pixels_that_are_a_link_are_not_followed_when_they_are_deleted(
    listed: Path, tmp_path: Path
) -> None:
    DATASET.load(listed)
    (pixels,) = entry_of(listed).glob("pixels-*.npy")
    canary = tmp_path / "canary.npy"
    np.save(canary, np.full((4, 3, 6, 6), 99, np.uint8))
    content, changed = canary.read_bytes(), canary.stat().st_mtime_ns
    pixels.unlink()
    pixels.symlink_to(canary)
    checked = verify_cache(DATASET.image_files(DATASET.listing(listed)), no_progress)
    assert checked.damaged == (pixels,)
    assert not pixels.is_symlink()
    assert (canary.read_bytes(), canary.stat().st_mtime_ns) == (content, changed)


def test_an_entry_that_is_a_link_is_not_swept(listed: Path, outside: Outside) -> None:
    """What an entry's index does not name is deleted, so its folder has to be the cache's own."""
    entry = entry_of(listed)
    entry.parent.mkdir(parents=True, exist_ok=True)
    entry.symlink_to(outside.folder)
    with pytest.raises(StoreError, match=r"cannot be stored \(it is a link, expected a folder\)"):
        DATASET.load(listed)
    assert verify_cache(DATASET.image_files(DATASET.listing(listed)), no_progress).sound == 0


def test_a_lock_that_is_a_link_is_not_followed(listed: Path, outside: Outside) -> None:
    DATASET.load(listed)
    (lock,) = [path for path in entry_of(listed).iterdir() if "lock" in path.name]
    lock.unlink()
    lock.symlink_to(outside.folder / "canary.txt")
    picture(listed / "0.png", 77)
    with pytest.raises(StoreError, match="cannot be stored"):
        DATASET.load(listed)
