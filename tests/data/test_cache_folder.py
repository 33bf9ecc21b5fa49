"""Where the cache lies; and a machine without a home is not told as a fault of the data."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from hashbench.data.cache.folder import cache_folder
from hashbench.data.plugin_errors import plugin_errors
from hashbench.data.sets.any_lists import Lists
from hashbench.data.sets.ms_coco import MSCoco
from hashbench.errors import StoreError

MakeFolder = Callable[..., Path]


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without an entry in the system's list, as `docker run --user 12345`."""

    def unknown(_number: object) -> None:
        raise KeyError("no such user")

    for name in ("HOME", "HASHBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)


def test_the_variables_are_asked_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("HASHBENCH_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("HASHBENCH_CACHE", "")
    assert cache_folder() == Path("/xdg/hashbench")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / ".cache/hashbench"


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    "variables", [{}, {"HOME": ""}, {"HASHBENCH_CACHE": "~/c"}, {"XDG_CACHE_HOME": "~none/c"}]
)
def test_a_machine_without_a_home_is_told_as_such(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    dataset = Lists(crop=9)
    with pytest.raises(StoreError) as caught, plugin_errors(dataset):
        dataset.load(make_folder())
    assert "HASHBENCH_CACHE" in str(caught.value)
    assert "lists" not in str(caught.value)


@pytest.mark.usefixtures("nobody")
def test_a_chosen_folder_needs_no_home(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASHBENCH_CACHE", str(tmp_path / "cache"))
    assert len(Lists(crop=9).load(make_folder()).query) == 2


@pytest.mark.parametrize("place", ["file/below", "/proc/1/none", "a" * 300])
def test_a_folder_that_cannot_be_written_is_told_with_the_variable(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").touch()
    root = make_folder()
    monkeypatch.setenv("HASHBENCH_CACHE", os.fspath(tmp_path / place))
    with pytest.raises(StoreError, match=r"cannot be stored .*HASHBENCH_CACHE"):
        Lists(crop=9).load(root)


def test_annotations_that_cannot_be_stored_are_told_with_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "annotations").mkdir()
    for part in ("train2014", "val2014"):
        (tmp_path / f"annotations/instances_{part}.json").write_text(
            f'{{"images": [{{"id": 1, "file_name": "{part}.jpg"}}], "annotations": [], '
            '"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}'
        )
    for stem in ("train", "test"):
        (tmp_path / f"{stem}_img.txt").write_text("train2014/train2014.jpg\n")
        (tmp_path / f"{stem}_label.txt").write_text("0 0\n")
    (tmp_path / "file").touch()
    monkeypatch.setenv("HASHBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"annotations cannot be stored .*HASHBENCH_CACHE"):
        MSCoco(any_size=True).listing(tmp_path)
