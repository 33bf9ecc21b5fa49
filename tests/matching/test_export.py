"""PNG files without loss, and names of files that never collide nor leave their folder."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from hashbench.errors import FileError
from hashbench.matching.export_names import export_folder, export_name, file_names
from hashbench.matching.png import pixels_of, png_of


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
        lambda size: arrays(np.uint8, (*size, 3))
    )
)
def test_a_png_loses_nothing_and_is_the_same_twice(pixels: NDArray[np.uint8]) -> None:
    content = png_of(pixels)
    assert content == png_of(pixels.copy(order="F"))
    assert np.array_equal(pixels_of(content), pixels)
    for chunk in (b"tEXt", b"iTXt", b"tIME", b"iCCP", b"eXIf"):
        assert chunk not in content or pixels.tobytes().find(chunk) >= 0


@given(st.integers(0, 10_000))
def test_a_png_that_is_cut_is_refused(cut: int) -> None:
    content = png_of(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    # Behind the last row stand its checksum and the last chunk, which change no pixel.
    with pytest.raises(FileError, match="no sound PNG"):
        pixels_of(content[: cut % (len(content) // 2)])


def test_a_png_of_another_mode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (3, 3)).save(path)
    with pytest.raises(FileError, match="mode L, expected RGB"):
        pixels_of(path.read_bytes())


def test_plain_names_stay_as_they_are() -> None:
    (file,) = file_names(["street/000139.jpg"])
    assert export_name("pdq", "evade", "4/255", file) == "pdq/evade/4-255/street/000139.png"
    assert export_folder("dhash", "collide", "0.5") == "dhash/collide/0.5"


def test_parameters_give_names_that_every_file_system_takes() -> None:
    texts = ("pdq:threshold=20", "evade:steps=80,bits=40")
    digests = [hashlib.sha256(text.encode()).hexdigest()[:8] for text in texts]
    folder = export_folder(*texts, "16/255")
    assert folder == f"pdq-threshold-20-{digests[0]}/evade-steps-80-bits-40-{digests[1]}/16-255"


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["a.jpg", "b.jpg"], ["a.png", "b.png"]),
        (["a.jpg", "a.png"], ["a.jpg.png", "a.png.png"]),
        (["a.jpg", "A.png"], ["a.jpg.png", "A.png.png"]),
        (["x/a.jpg", "y/a.jpg"], ["x/a.png", "y/a.png"]),
        (["a.b.jpg", "a.c.jpg"], ["a.b.png", "a.c.png"]),
        (["a.jpg", "a.png/b.jpg"], ["a.jpg.png", "a.png/b.png"]),  # a folder of the file's name
        (["scene-001"], ["scene-001.png"]),
    ],
)
def test_the_suffix_goes_unless_two_would_meet(names: list[str], files: list[str]) -> None:
    assert list(file_names(names)) == files


def key(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


PARTS = st.one_of(
    st.text(min_size=1, max_size=12),
    st.sampled_from(["..", ".", "a", "A", "a.jpg", "a.png", "a.jpg.png", "a\\b", "C:", "~", " "]),
    st.text("aA.", min_size=1, max_size=4),
    st.text("x", min_size=230, max_size=260),
).map(lambda text: text.replace("/", "-"))
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


def is_safe(path: str) -> bool:
    parts = path.split("/")
    return all(
        part not in ("", ".", "..")
        and not part.startswith(".")
        and len(part.encode("utf-8", "surrogatepass")) <= 255
        and not any(unicodedata.category(one)[0] == "C" or one in '\\:*?"<>|' for one in part)
        for part in parts
    )


@given(st.lists(NAMES, unique=True, max_size=12))
def test_files_are_safe_and_no_two_are_the_same(names: list[str]) -> None:
    files = file_names(names)
    assert len(files) == len(names)
    assert all(map(is_safe, files))
    assert all(file.endswith(".png") for file in files)
    keys = {key(file) for file in files}
    assert len(keys) == len(names)
    folders = {key(str(above)) for file in files for above in PurePosixPath(file).parents}
    assert not keys & folders
    assert file_names(names) == files


@given(st.lists(st.text(max_size=120), unique=True, min_size=2, max_size=8))
def test_different_cells_have_different_folders(texts: list[str]) -> None:
    folders = [export_folder(text, "evade", "4/255") for text in texts]
    folders += [export_folder("pdq", text, "4/255") for text in texts]
    assert all(map(is_safe, folders))
    assert all(folder.count("/") == 2 for folder in folders)
    assert len({key(folder) for folder in folders[: len(texts)]}) == len(texts)
    assert len({key(folder) for folder in folders[len(texts) :]}) == len(texts)


@given(st.text(max_size=40))
def test_a_radius_of_any_text_is_one_folder(eps: str) -> None:
    folder = export_folder("pdq", "evade", eps)
    assert is_safe(folder)
    assert folder.count("/") == 2
