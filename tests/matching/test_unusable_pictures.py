"""What cannot be read is refused before any work, in one sentence, or left out if asked for."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from hashbench.errors import UsageError
from hashbench.matching.reading import read_pictures
from support.picture_files import OWN, image, noise, only, png16, saved


def refused(folder: Path, *, skip_broken: bool = False, single: bool = False) -> str:
    with pytest.raises(UsageError) as caught:
        read_pictures(folder, skip_broken=skip_broken, single=single)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.png", image())
    (tmp_path / "empty/below").mkdir(parents=True)
    (tmp_path / "empty/notes.txt").write_text("no image")
    missing = tmp_path / "missing"
    assert refused(missing) == f"{missing}: no such folder"
    assert refused(missing, single=True) == f"{missing}: no such folder"
    assert refused(file) == f"{file}: it is a file, expected a folder"
    message = refused(tmp_path / "empty")
    assert message.startswith(f"{tmp_path / 'empty'}: no image in it, nor in its folders;")
    assert "1 file is no image by its name" in message


def test_a_single_image_may_be_a_target(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.png", image())
    found = read_pictures(file, OWN, single=True)
    assert found.names == ("a.png",)
    assert np.array_equal(found.pictures[0].saved, noise(70, 80))
    saved(tmp_path / "b.png", image())
    assert read_pictures(tmp_path, single=True).names == ("a.png", "b.png")


def cut(kind: str) -> bytes:
    content = BytesIO()
    image().save(content, kind)
    return content.getvalue()[:-400]


BROKEN = {
    "empty": (b"", "the file has no bytes"),
    "text": (b"not an image at all", "no JPEG, PNG or other known image"),
    "cut": (cut("JPEG"), "cannot be decoded"),
    "cut PNG": (cut("PNG"), "cannot be decoded"),
    "cut TIFF": (cut("TIFF"), "cannot be decoded"),
    "gigapixels": (
        png16(np.zeros((1, 1, 3)), 2, (50_000, 40_000)),
        "its header states 50,000 x 40,000 pixels",
    ),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(12), "HEIC is not read; convert it to PNG or JPEG"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_image_that_cannot_be_used_is_named(tmp_path: Path, kind: str) -> None:
    content, reason = BROKEN[kind]
    saved(tmp_path / "a.png", image())
    (tmp_path / "below").mkdir()
    broken = tmp_path / "below/x.jpg"
    broken.write_bytes(content)
    message = refused(tmp_path)
    assert message.startswith(f"{broken}: ")
    assert reason in message
    assert message.endswith("; --skip-broken leaves such files out")
    found = read_pictures(tmp_path, OWN, skip_broken=True)
    assert found.names == ("a.png",)
    note = only(found.notes, "left out")
    assert note.startswith("1 image is left out, since nothing can decode it ('below/x.jpg': ")
    assert reason in note
    assert np.array_equal(found.pictures[0].saved, noise(70, 80))


def test_how_many_cannot_be_used_is_said(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert refused(tmp_path, skip_broken=True).endswith(
        "2 more images of 3 cannot be used; no image is left"
    )
    saved(tmp_path / "d.png", image())
    assert refused(tmp_path) == (
        f"{tmp_path / 'a.jpg'}: the file has no bytes; 2 more images of 4 cannot be used; "
        "--skip-broken leaves such files out"
    )
    found = read_pictures(tmp_path, skip_broken=True)
    assert only(found.notes, "left out").startswith("3 images are left out, since nothing can ")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert "it is a named pipe, expected a file" in refused(tmp_path)


def test_links_lead_to_files_and_not_out_of_the_folder(tmp_path: Path) -> None:
    outside = saved(tmp_path / "outside/a.png", image())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.png").symlink_to(outside)
    assert read_pictures(folder).names == ("link.png",)
    (tmp_path / "to-folder").symlink_to(folder)
    assert read_pictures(tmp_path / "to-folder").names == ("link.png",)
    (folder / "away").symlink_to(tmp_path / "outside")
    assert refused(folder).endswith("name the folder itself that it leads to")
    (folder / "away").unlink()
    (folder / "circle").symlink_to(folder)
    assert refused(folder).endswith("a link leads back to a folder above it")


def test_names_that_steer_a_terminal_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a\x1b.png").write_bytes(b"")
    assert "holds a control character" in refused(tmp_path)
