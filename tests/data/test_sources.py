"""Files of a data folder: marks of Windows editors, what is no file, bounds, names and locales."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashbench.data import sources
from hashbench.data.check import check_dataset
from hashbench.data.lists.listing import read_listing
from hashbench.data.sets.any_lists import Lists
from hashbench.errors import UsageError
from hashbench.progress import no_progress

MakeFolder = Callable[..., Path]
LISTS = [f"{stem}_{end}.txt" for stem in ("train", "test", "database") for end in ("img", "label")]


def joined(root: Path) -> Path:
    """The same lists in layout B."""
    for stem in ("train", "test", "database"):
        images, labels = root / f"{stem}_img.txt", root / f"{stem}_label.txt"
        pairs = zip(images.read_text().split(), labels.read_text().splitlines(), strict=True)
        (root / f"{stem}.txt").write_text("".join(f"{path} {row}\n" for path, row in pairs))
        images.unlink()
        labels.unlink()
    return root


@pytest.mark.parametrize("layout", ["A", "B"])
def test_a_byte_order_mark_changes_nothing(make_folder: MakeFolder, layout: str) -> None:
    root = make_folder() if layout == "A" else joined(make_folder())
    (root / "classes.txt").write_text("even\nodd\n")
    plain = read_listing(root)
    for path in root.glob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    marked = read_listing(root)
    assert marked.classes == plain.classes == ("even", "odd")
    for name, split in plain.splits.items():
        assert marked.splits[name].paths == split.paths
        assert np.array_equal(marked.splits[name].labels, split.labels)


@pytest.mark.parametrize("name", [*LISTS, "classes.txt"])
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("pipe", "it is a named pipe, expected a file"),
        ("folder", "it is a folder, expected a file"),
        ("endless", "it is a device, expected a file"),
        ("large", "it has 10,000,000,000 bytes, expected at most"),
        ("utf-16", "it is in UTF-16; save it as UTF-8"),
    ],
)
def test_a_list_that_is_none_is_told_by_its_name(
    make_folder: MakeFolder, name: str, kind: str, says: str
) -> None:
    root = make_folder()
    path = root / name
    path.unlink(missing_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "endless":
            path.symlink_to("/dev/zero")
        case "large":
            path.touch()
            os.truncate(path, 10**10)
        case "utf-16":
            path.write_bytes("1 0\n".encode("utf-16"))
    with pytest.raises(UsageError) as caught:
        read_listing(root)
    assert str(caught.value).startswith(f"{path}: {says}")


def test_a_list_has_at_most_so_many_lines(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder()
    monkeypatch.setattr(sources, "MAX_LINES", 5)
    read_listing(root)
    monkeypatch.setattr(sources, "MAX_LINES", 4)
    with pytest.raises(UsageError, match=r"database_img\.txt: it has 5 lines, expected at most 4"):
        read_listing(root)


@pytest.mark.parametrize("name", ["\x1b[2J", "\u202ecat", "cat\u2028dog", "a" * 201])
def test_a_class_name_that_steers_or_never_ends_is_refused(
    make_folder: MakeFolder, name: str
) -> None:
    root = make_folder()
    (root / "classes.txt").write_text(f"even\n{name}\n")
    with pytest.raises(UsageError) as caught:
        read_listing(root)
    assert str(caught.value).startswith(f"{root / 'classes.txt'}, line 2: ")
    assert str(caught.value).isprintable()


def test_names_beyond_ascii_are_found_in_a_locale_without_them(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "images/2.png").rename(root / "images/été 東.png")
    for name in ("train_img.txt", "database_img.txt"):
        (root / name).write_text((root / name).read_text().replace("/2.png", "/été 東.png"))
    found = check_dataset(Lists(crop=9), root, no_progress)
    assert found.clean
    assert found.protocol is not None
    code = (
        "import sys; from pathlib import Path; from hashbench.data.check import check_dataset;"
        "from hashbench.data.sets.any_lists import Lists; from hashbench.progress import "
        "no_progress; found = check_dataset(Lists(crop=9), Path(sys.argv[1]), no_progress);"
        "assert sys.getfilesystemencoding() == 'ascii'; print(found.protocol.split)"
    )
    plain = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code, str(root)],
        capture_output=True, text=True, env=os.environ | plain, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == found.protocol.split


def test_images_with_many_folders_are_found_behind_links(tmp_path: Path) -> None:
    """A folder is looked at once; a link in the middle of a path counts all the same."""
    root = tmp_path / "data"
    (root / "real/deep/er").mkdir(parents=True)
    (root / "a").mkdir()
    (root / "a/b").symlink_to(root / "real/deep")
    Image.new("RGB", (9, 9)).save(root / "real/deep/er/x.png")
    (tmp_path / "out").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "out/x.png")
    (root / "a/out").symlink_to(tmp_path / "out")
    from hashbench.data.cache.stamps import OutsideFolderError, stamp_files

    assert not stamp_files(root.resolve(), ["a/b/er/x.png", "real/deep/er/x.png"]).faults
    with pytest.raises(OutsideFolderError) as caught:
        stamp_files(root.resolve(), ["a/b/er/x.png", "a/out/x.png"])
    assert caught.value.places == (1,)
