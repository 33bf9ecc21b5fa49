"""NUS-WIDE's database list is rebuilt from the official concept files, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hashbench.data.sets.nus_wide import NusWide
from hashbench.errors import UsageError

CONCEPTS = ("animal", "beach", "clouds", "sky")
DATASET = NusWide(any_size=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """40 images, four concepts; the lists use sky and clouds, in this order, and not all images."""
    rng = np.random.default_rng(1)
    names = [f"{number:04}_{number * 7}.jpg" for number in range(40)]
    labels = (rng.random((40, 4)) < 0.4).astype(int)
    (tmp_path / "ImageList").mkdir()
    (tmp_path / "ImageList/Imagelist.txt").write_text(
        "".join(f"folder\\{name}\r\n" for name in names)
    )
    folder = tmp_path / "Groundtruth/AllLabels"
    folder.mkdir(parents=True)
    for column, concept in enumerate(CONCEPTS):
        values = "".join(f"{value}\r\n" for value in labels[:, column])
        (folder / f"Labels_{concept}.txt").write_text(values)
    np.save(tmp_path / "labels.npy", labels)
    some = [row for row in range(40) if labels[row, 2:].any()]
    for stem, rows in (("test", some[:6]), ("train", some[6:16])):
        (tmp_path / f"{stem}_img.txt").write_text(
            "".join(f"images/{names[row]}\n" for row in reversed(rows))
        )
        (tmp_path / f"{stem}_label.txt").write_text(
            "".join(f"{labels[row, 3]} {labels[row, 2]} \n" for row in reversed(rows))
        )
    return tmp_path


def test_database_is_every_other_labelled_image(home: Path) -> None:
    listing = DATASET.listing(home)
    labels = np.load(home / "labels.npy")
    assert listing.classes == ("sky", "clouds")
    rows = [row for row in range(40) if labels[row, 2:].any()][6:]
    assert listing.database.paths == tuple(f"images/{row:04}_{row * 7}.jpg" for row in rows)
    assert listing.database.labels.tolist() == labels[rows][:, [3, 2]].tolist()
    listing.refuse_overlap()
    assert set(listing.train.paths) <= set(listing.database.paths)


def test_a_column_that_is_no_concept_is_an_error(home: Path) -> None:
    path = home / "train_label.txt"
    text = path.read_text()
    path.write_text(("0" if text[0] == "1" else "1") + text[1:])
    with pytest.raises(UsageError, match=r"label column 1 of the lists agrees with 0 concepts"):
        DATASET.listing(home)


def test_a_column_that_may_be_two_concepts_is_an_error(home: Path) -> None:
    folder = home / "Groundtruth/AllLabels"
    (folder / "Labels_twin.txt").write_bytes((folder / "Labels_sky.txt").read_bytes())
    with pytest.raises(UsageError, match=r"agrees with 2 concepts \(sky, twin\)"):
        DATASET.listing(home)


def test_concepts_must_fit_the_image_list(home: Path) -> None:
    path = home / "Groundtruth/AllLabels/Labels_animal.txt"
    path.write_text(path.read_text() + "0\n")
    with pytest.raises(UsageError, match=r"Labels_animal\.txt: 41 rows of 1 values"):
        DATASET.listing(home)
    path.write_text("0\n2\n")
    with pytest.raises(UsageError, match=r"Labels_animal\.txt, line 2: labels must be 0 or 1"):
        DATASET.listing(home)


def test_an_unknown_image_is_an_error(home: Path) -> None:
    with (home / "test_img.txt").open("a") as file:
        file.write("images/9999_1.jpg\n")
    with (home / "test_label.txt").open("a") as file:
        file.write("1 0\n")
    with pytest.raises(UsageError, match=r"test_img\.txt, line 7: 'images/9999_1\.jpg' is not in"):
        DATASET.listing(home)


def test_missing_concept_files_are_named(shared_data: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError) as caught:
        NusWide().listing(shared_data("lists"))
    assert "ImageList/Imagelist.txt" in str(caught.value)
    assert "database_img.txt" in str(caught.value)
