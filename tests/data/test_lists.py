"""Folders of lists as a data set: labels, broken images, links, names, protocols."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hashbench.data import protocol_of
from hashbench.data.check import check_dataset
from hashbench.data.lists.dataset import BrokenImages
from hashbench.data.sets.any_lists import Lists
from hashbench.data.sets.flickr25k import Flickr25K
from hashbench.data.sets.imagenet100 import ImageNet100
from hashbench.errors import UsageError
from hashbench.plugins.parameters import build, canonical
from hashbench.progress import no_progress

MakeFolder = Callable[..., Path]
PLAIN = Lists(crop=9)
EXCLUDING = Lists(crop=9, broken=BrokenImages.EXCLUDE)


def test_labels_classes_and_transform(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "classes.txt").write_text("even\nodd\n")
    data = PLAIN.load(root)
    assert data.classes == ("even", "odd")
    assert data.train.labels.tolist() == [[1, 0], [0, 1]]
    assert data.database.labels[:, 0].tolist() == [1, 0, 1, 0, 1]
    assert data.transform == "short side 9 bilinear, center crop 9"
    assert data.excluded == 0
    protocol = protocol_of(canonical(PLAIN), PLAIN.list_length(), data)
    assert (protocol.dataset, protocol.metric) == ("lists:crop=9", "map")
    assert (protocol.train, protocol.query, protocol.database) == (2, 2, 5)


def test_a_row_may_repeat_in_the_train_list(make_folder: MakeFolder) -> None:
    data = PLAIN.load(make_folder(train=(2, 2, 3, 2)))
    images = data.train.images[:]
    assert len(images) == 4
    assert np.array_equal(images[0], images[3])
    assert not np.array_equal(images[0], images[2])


def test_parameters_from_text() -> None:
    found = build(Lists, {"crop": "32", "broken": "exclude", "k": "100", "wide": "true"})
    assert found == Lists(crop=32, broken=BrokenImages.EXCLUDE, k=100, wide=True)
    assert canonical(found) == "lists:crop=32,broken=exclude,wide=true,k=100"
    assert found.list_length() == 100
    assert Lists().list_length() is None
    for given, says in (
        ({"broken": "ignore"}, "'ignore' is no choice"),
        ({"crop": "0"}, "crop must lie from 1"),
        ({"resize": "100"}, "crop must lie from 1 to resize"),
        ({"k": "0"}, "k must be 1 or more"),
        ({"crops": "1"}, "no parameter 'crops'"),
    ):
        with pytest.raises(UsageError, match=says):
            build(Lists, given)


def test_a_broken_image_names_file_and_line(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "images/5.png").write_bytes(b"")
    with pytest.raises(UsageError) as caught:
        PLAIN.load(root)
    assert str(caught.value).startswith(
        f"{root}/images/5.png: the file has no bytes ({root}/database_img.txt, line 4); "
    )
    (root / "images/1.png").unlink()
    with pytest.raises(UsageError) as caught:
        PLAIN.load(root)
    assert str(caught.value).startswith(
        f"{root}/images/1.png: no such file ({root}/test_img.txt, line 2); "
    )


def test_excluded_rows_leave_all_splits_and_change_the_protocol(make_folder: MakeFolder) -> None:
    root = make_folder(train=(2, 3, 2))
    whole = PLAIN.load(root)
    assert EXCLUDING.load(root).excluded == 0
    same = [getattr(EXCLUDING.load(root), n).digest() for n in ("train", "query", "database")]
    assert same == [getattr(whole, n).digest() for n in ("train", "query", "database")]
    (root / "images/2.png").write_bytes((root / "images/2.png").read_bytes()[:90])
    left = EXCLUDING.load(root)
    assert left.excluded == 3  # two train rows, one of the database
    assert np.array_equal(left.train.images[:], whole.train.images[1:2])
    assert np.array_equal(left.train.labels, whole.train.labels[1:2])
    assert np.array_equal(left.query.images[:], whole.query.images[:])
    assert np.array_equal(left.database.images[:], whole.database.images[1:])
    before = protocol_of("lists", EXCLUDING.list_length(), whole)
    after = protocol_of("lists", EXCLUDING.list_length(), left)
    assert before.split != after.split
    assert (before.excluded, after.excluded) == (0, 3)


def test_a_split_without_a_sound_image_is_an_error(make_folder: MakeFolder) -> None:
    root = make_folder()
    for number in (0, 1):
        (root / f"images/{number}.png").unlink()
    with pytest.raises(UsageError, match=r"test_img\.txt: not one of its 2 images can be used"):
        EXCLUDING.load(root)


@pytest.mark.parametrize("dataset", [PLAIN, EXCLUDING])
def test_links_that_leave_the_folder_are_refused(
    make_folder: MakeFolder, tmp_path: Path, dataset: Lists
) -> None:
    root = make_folder()
    path = root / "images/4.png"
    (tmp_path / "secret.png").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "secret.png")
    with pytest.raises(UsageError) as caught:
        dataset.load(root)
    assert f"{root}/database_img.txt, line 3: a link leads the path 'images/4.png' out" in str(
        caught.value
    )
    path.unlink()
    path.symlink_to("../../secret.png")
    with pytest.raises(UsageError, match="a link leads the path"):
        dataset.load(root)


def test_a_linked_folder_that_leaves_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder()
    (root / "images").rename(tmp_path / "elsewhere")
    (root / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="7 such images"):
        PLAIN.load(root)


def test_links_inside_the_folder_and_to_it_are_followed(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder()
    expected = PLAIN.load(root).database.digest()
    (root / "images").rename(root / "photos")
    (root / "images").symlink_to("photos")
    (root / "photos/4.png").rename(root / "photos/other.png")
    (root / "photos/4.png").symlink_to("other.png")
    (tmp_path / "link").symlink_to(root)
    assert PLAIN.load(tmp_path / "link").database.digest() == expected


def test_a_link_in_a_circle_is_broken(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "images/4.png").unlink()
    (root / "images/4.png").symlink_to("4.png")
    with pytest.raises(UsageError, match=r"4\.png: Too many levels of symbolic links"):
        PLAIN.load(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_broken(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "images/4.png").chmod(0)
    with pytest.raises(UsageError, match=r"4\.png: cannot be read \(Permission denied\)"):
        PLAIN.load(root)


def test_an_unreadable_file_is_broken_for_root_too(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder()
    plain = os.open

    def refuse(path: str | Path, *rest: int) -> int:
        if str(path).endswith("4.png"):
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match=r"4\.png: cannot be read \(Permission denied\)"):
        PLAIN.load(root)


def test_a_folder_in_place_of_an_image_is_broken(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "images/4.png").unlink()
    (root / "images/4.png").mkdir()
    with pytest.raises(UsageError, match=r"4\.png: not a regular file"):
        PLAIN.load(root)


@pytest.mark.parametrize("linked", ["images/4.png", "images"])
@pytest.mark.parametrize("broken", BrokenImages)
def test_a_link_out_of_the_folder_is_refused(
    make_folder: MakeFolder, tmp_path: Path, linked: str, broken: BrokenImages
) -> None:
    root = make_folder()
    PLAIN.load(root)
    elsewhere = tmp_path / "elsewhere"
    (root / linked).rename(elsewhere)
    (root / linked).symlink_to(elsewhere)
    dataset = Lists(crop=9, broken=broken)
    count = 1 if linked == "images/4.png" else 7
    first = "database_img.txt, line 3" if count == 1 else "train_img.txt, line 1"
    path = "images/4.png" if count == 1 else "images/2.png"
    expected = (
        f"{root}/{first}: a link leads the path '{path}' out of {root} ({count} such images); "
        "move the images into it, or the lists beside them; a data set of your own takes the "
        "parameter links=FOLDER, a folder that links may lead into"
    )
    for use in (dataset.load, lambda root: check_dataset(dataset, root, no_progress)):
        with pytest.raises(UsageError) as caught:
            use(root)
        assert str(caught.value) == expected


def test_a_link_inside_the_folder_is_followed(make_folder: MakeFolder) -> None:
    root = make_folder()
    digest = PLAIN.load(root).database.digest()
    (root / "images").rename(root / "moved")
    (root / "images").symlink_to(root / "moved")
    (root / "moved/4.png").rename(root / "4.png")
    (root / "moved/4.png").symlink_to(root / "4.png")
    assert PLAIN.load(root).database.digest() == digest


def test_a_missing_image_is_told_before_any_is_decoded(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder()
    (root / "images/6.png").unlink()
    monkeypatch.setattr("hashbench.data.cache.entries.read_image", None)
    with pytest.raises(UsageError, match=r"6\.png: no such file"):
        PLAIN.load(root)


def test_no_folder_or_none_of_lists(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data set 'lists' is read from a folder"):
        PLAIN.load(None)
    with pytest.raises(UsageError, match="no such folder"):
        PLAIN.load(tmp_path / "none")
    with pytest.raises(UsageError, match="no list of the train images"):
        PLAIN.load(tmp_path)


def test_published_sizes_are_checked(make_folder: MakeFolder) -> None:
    root = make_folder()
    with pytest.raises(UsageError) as caught:
        Flickr25K(crop=9).load(root)
    assert "2 queries, 2 train, 5 database, 2 classes" in str(caught.value)
    assert "1,700 queries, 5,000 train, 23,300 database, 38 classes" in str(caught.value)
    assert "flickr25k:any_size=true" in str(caught.value)
    dataset = Flickr25K(crop=9, any_size=True)
    assert len(dataset.load(root).database) == 5
    assert dataset.list_length() == 5000
    with pytest.raises(UsageError, match="5,000 and 100; if another split"):
        ImageNet100(crop=9).load(root)
    assert len(ImageNet100(crop=9, any_size=True).load(root).database) == 5
    assert ImageNet100().list_length() == 1000


def test_the_folder_above_does_too(make_folder: MakeFolder) -> None:
    root = make_folder()
    root.rename(root.parent / "FLICKR-25K")
    assert len(Flickr25K(crop=9, any_size=True).load(root.parent).query) == 2


def test_real_photos_load(shared_data: Callable[[str], Path]) -> None:
    data = Lists().load(shared_data("coco256"))
    assert data.database.images.shape == (128, 3, 224, 224)
    assert data.query.labels.shape == (128, 80)
    assert np.array_equal(data.train.images[:], data.database.images[:])


@pytest.mark.slow
def test_real_small_images_load_as_they_are(shared_data: Callable[[str], Path]) -> None:
    from PIL import Image

    root = shared_data("cifar10-jpeg")
    data = Lists(crop=32).load(root)
    assert (len(data.train), len(data.query), len(data.database)) == (5000, 1000, 10000)
    assert data.classes[:2] == ("airplane", "automobile")
    for row, line in enumerate((root / "test_img.txt").read_text().splitlines()[:50]):
        with Image.open(root / line) as image:
            expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        assert np.array_equal(data.query.images[row : row + 1][0], expected)
