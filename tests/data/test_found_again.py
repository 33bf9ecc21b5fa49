"""Queries whose files the database holds under another name are counted, as `data check` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashbench import plugins
from hashbench.data.check import check_dataset
from hashbench.plugins import Dataset
from hashbench.progress import no_progress
from support.crafted_images import sound_image


@pytest.mark.parametrize("again", [0, 1, 3])
def test_queries_of_the_same_bytes_are_counted(tmp_path: Path, again: int) -> None:
    for number in range(4):
        for split, level in (("train", number), ("test", number if number < again else 4 + number)):
            path = tmp_path / split / "ab"[number % 2] / f"{split}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            # The pixels are all the same: only the files' bytes differ.
            path.write_bytes(sound_image("PNG", compress_level=level))
    dataset = plugins.get("dataset", "image-folder:crop=8")
    assert isinstance(dataset, Dataset)
    contents = {path.read_bytes() for path in tmp_path.glob("train/*/*")}
    expected = sum(path.read_bytes() in contents for path in tmp_path.glob("test/*/*"))
    assert dataset.load(tmp_path).found_again == expected >= again
    assert check_dataset(dataset, tmp_path, no_progress).overlap.contents == expected
